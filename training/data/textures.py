"""The stock of procedural textures.

`pool(k)` is a dictionary name -> Texture. Names are a kind and a number, such as "asphalt0"; every pool
has the same names and different pictures.
"""

from functools import lru_cache, partial

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


DRAWS = {f"{kind}{i}": draw for kind, (n, draw) in KINDS.items() for i in range(n)}
DRAWS |= {f"shadow{i}": partial(surfaces.shadow, kind=i) for i in range(3)}


class Pool(dict):
    """Name -> Texture, each drawn when it is first asked for."""

    def __init__(self, k: int):
        self._k = k

    def __missing__(self, name: str) -> Texture:
        rng = np.random.default_rng([7, self._k, list(DRAWS).index(name)])
        self[name] = DRAWS[name](rng)
        return self[name]


@lru_cache(maxsize=POOLS)
def pool(k: int) -> Pool:
    """Pool k (0 .. POOLS - 1), the same on every machine."""
    return Pool(k)
