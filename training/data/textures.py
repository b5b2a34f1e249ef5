"""The stock of procedural textures.

`pool(k)` gives a dictionary name -> Texture. Names are a kind and a number, such as "asphalt0"; every pool
has the same names and different pictures.
"""

from functools import lru_cache

import numpy as np

from training.data import pictures, surfaces
from training.data.noise import Texture

POOLS = 12

KINDS = {
    "asphalt": (4, surfaces.asphalt), "paving": (3, surfaces.paving), "grass": (3, surfaces.grass),
    "wall": (3, surfaces.wall), "fence": (3, surfaces.fence), "paint": (1, surfaces.paint),
    "plain": (2, surfaces.plain), "tiles": (2, surfaces.tiles),
    "hedge": (2, lambda rng: surfaces.foliage(rng, False)),
    "crown": (4, lambda rng: surfaces.foliage(rng, True)),
    "facade": (8, pictures.facade), "shop": (4, pictures.shop), "sky": (2, pictures.sky),
    "horizon": (2, pictures.horizon), "sign": (2, pictures.sign), "person": (3, pictures.person),
    "car": (3, pictures.car),
}  # fmt: skip


@lru_cache(maxsize=POOLS)
def pool(k: int) -> dict[str, Texture]:
    """Pool k (0 .. POOLS - 1), the same on every machine."""
    rng = np.random.default_rng([7, k])
    textures = {f"{kind}{i}": draw(rng) for kind, (n, draw) in KINDS.items() for i in range(n)}
    return textures | {f"shadow{i}": surfaces.shadow(rng, i) for i in range(3)}
