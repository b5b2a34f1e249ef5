"""Procedural textures, drawn with NumPy and OpenCV.

`pool(k)` gives a dictionary name -> Texture (pixels (H, W, 3 or 4) RGB(A) uint8, rows top to bottom). Names
are a kind and a number, such as "asphalt0"; COUNTS tells how many of each kind there are. Every pool has
the same names and different pictures. All tile. mode: opaque, cutout (alpha tested) or blend.
"""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

SIZE = 256
POOLS = 12


class Texture(NamedTuple):
    pixels: np.ndarray
    mode: str = "opaque"


def fractal(
    rng, size: int = SIZE, roughness: float = 0.6, coarsest: int = 4, stretch=(1, 1)
) -> np.ndarray:
    """(size, size) float32 noise of unit deviation that tiles; each octave `roughness` times the last."""
    total, weight, cells = np.zeros((size, size), np.float32), 1.0, coarsest
    while cells <= size:
        shape = max(cells // stretch[1], 1), max(cells // stretch[0], 1)
        octave = rng.standard_normal(shape).astype(np.float32)
        octave = np.pad(octave, 2, mode="wrap")
        large = cv2.resize(
            octave, None, fx=size / shape[1], fy=size / shape[0], interpolation=cv2.INTER_CUBIC
        )
        margin = 2 * size // shape[0], 2 * size // shape[1]
        total += weight * large[margin[0] : margin[0] + size, margin[1] : margin[1] + size]
        weight, cells = weight * roughness, cells * 2
    return (total - total.mean()) / (total.std() + 1e-6)


def _picture(grey: np.ndarray, tint=(1, 1, 1), colour_noise=None) -> np.ndarray:
    rgb = grey[..., None] * np.asarray(tint, np.float32)
    if colour_noise is not None:
        rgb = rgb * (1 + colour_noise[..., None] * np.array([0.06, 0.0, -0.08], np.float32))
    return np.clip(rgb, 0, 255).astype(np.uint8)


def asphalt(rng) -> Texture:
    """About 8 m by 8 m of road: grain, stains, wheel tracks, cracks, patches, perhaps a manhole."""
    size = 512
    grain = fractal(rng, size, rng.uniform(0.75, 1.0), 16) * rng.choice(
        [3, 8, 14, 22], p=[0.15, 0.3, 0.3, 0.25]
    )
    stains = fractal(rng, size, 0.5, 2, stretch=(1, 1)) * rng.uniform(3, 12)
    tracks = np.cos(np.linspace(0, 2 * np.pi * 4, size))[None] * rng.uniform(0, 5)
    grey = 150 + grain + stains + tracks
    for _ in range(rng.integers(0, 5)):  # patches of newer asphalt
        x, y, w, h = rng.integers(0, size, 2).tolist() + rng.integers(20, 200, 2).tolist()
        grey[y : y + h, x : x + w] += rng.normal(0, 14)
        if rng.random() < 0.6:
            cv2.rectangle(grey, (x, y), (x + w, y + h), 95.0, 2)
    for _ in range(rng.integers(0, 9)):  # cracks and tar seams, many of them along the road
        drift = rng.normal(0, 8, 2) if rng.random() < 0.5 else np.array([0.0, 13.0])
        line = rng.integers(0, size, 2) + np.cumsum(
            rng.normal(0, rng.uniform(2, 9), (40, 2)) + drift, axis=0
        )
        dark, thick = float(rng.uniform(35, 115)), int(rng.integers(1, 6))
        cv2.polylines(grey, [line.astype(np.int32)], False, dark, thick, cv2.LINE_AA)
    if rng.random() < 0.4:
        at = tuple(rng.integers(60, size - 60, 2).tolist())
        cv2.circle(grey, at, 21, 85.0, -1, cv2.LINE_AA)
        cv2.circle(grey, at, 17, 120.0, 2, cv2.LINE_AA)
    return Texture(_picture(grey, (1, 0.99, 0.97)))


def paving(rng) -> Texture:
    """2 m of pavement: slabs or cobbles with joints."""
    grey = 165 + 11 * fractal(rng, roughness=0.9, coarsest=8) + 7 * fractal(rng, coarsest=2)
    rows, columns = int(rng.choice([4, 8, 16])), int(rng.choice([2, 4, 8, 16]))
    h, w = SIZE // rows, SIZE // columns
    grey += cv2.resize(
        rng.normal(0, 6, (rows, columns)).astype(np.float32),
        (SIZE, SIZE),
        interpolation=cv2.INTER_NEAREST,
    )
    depth = rng.uniform(10, 55)
    for r in range(rows):
        grey[r * h : r * h + 2] -= depth
        shift = (w // 2) * (r % 2)
        for c in range(columns):
            x = (c * w + shift) % SIZE
            grey[r * h : (r + 1) * h, x : x + 2] -= depth
    return Texture(_picture(grey, (1, 0.98, 0.95)))


def grass(rng) -> Texture:
    """4 m of verge, meadow, stubble or bare soil."""
    grey = 130 + 27 * fractal(rng, roughness=0.85, coarsest=8) + 18 * fractal(rng, coarsest=2)
    tint = [(0.72, 1, 0.5), (0.85, 1, 0.6), (1, 0.92, 0.62), (0.9, 0.78, 0.6)][rng.integers(4)]
    return Texture(_picture(grey, tint, fractal(rng, coarsest=4)))


def facade(rng) -> Texture:
    """One storey (3 m) and two windows wide: plaster or brick, frames, panes with curtains or sky."""
    grey = (
        185
        + fractal(rng, coarsest=2) * rng.uniform(2, 12)
        + fractal(rng, roughness=1, coarsest=32) * rng.uniform(1, 9)
    )
    if rng.random() < 0.35:  # bricks
        grey[:: int(rng.choice([6, 8])), :] -= 22
        grey -= 6 * fractal(rng, roughness=1, coarsest=32, stretch=(1, 2))
    picture = _picture(grey)
    columns = int(rng.choice([1, 2, 2, 3]))
    w, h = int(SIZE / columns * rng.uniform(0.3, 0.62)), int(SIZE * rng.uniform(0.4, 0.6))
    frame = int(rng.integers(150, 256)) if rng.random() < 0.7 else int(rng.integers(40, 110))
    for c in range(columns):
        x, y = int(SIZE / columns * (c + 0.5)) - w // 2, int(SIZE * 0.22)
        cv2.rectangle(picture, (x - 7, y - 7), (x + w + 7, y + h + 7), (frame,) * 3, -1)
        pane = rng.uniform(25, 110) + np.linspace(rng.uniform(-20, 60), 0, h)[:, None] * np.ones(
            (h, w)
        )
        if rng.random() < 0.4:
            pane[: int(h * rng.uniform(0.2, 0.9))] = rng.uniform(120, 220)
        pane += cv2.resize(rng.normal(0, 14, (4, 4)), (w, h), interpolation=cv2.INTER_CUBIC)
        picture[y : y + h, x : x + w] = np.clip(pane, 0, 255)[..., None] * np.array([0.93, 0.97, 1])
        if rng.random() < 0.8:
            cv2.line(picture, (x + w // 2, y), (x + w // 2, y + h), (frame,) * 3, 5)
        if rng.random() < 0.5:
            cv2.line(picture, (x, y + h // 3), (x + w, y + h // 3), (frame,) * 3, 5)
        cv2.rectangle(picture, (x - 10, y + h + 4), (x + w + 10, y + h + 12), (110,) * 3, -1)
    if rng.random() < 0.4:
        picture[:10] = int(rng.integers(90, 230))
    return Texture(picture)


def shop(rng) -> Texture:
    """A ground floor, 4 m high and 8 m wide: doors, shop windows, garage doors, signs."""
    grey = 160 + fractal(rng, coarsest=4) * rng.uniform(2, 9)
    picture = _picture(grey)
    x = int(rng.integers(4, 24))
    while x < SIZE - 40:
        w = int(rng.integers(24, 90))
        top = int(rng.integers(60, 110))
        shade, right = int(rng.integers(20, 200)), min(x + w, SIZE - 4)
        cv2.rectangle(picture, (x, top), (right, SIZE - int(rng.choice([0, 30]))), (shade,) * 3, -1)
        for _ in range(6):
            a = rng.integers([x, top], [right, SIZE])
            cv2.rectangle(picture, tuple(a.tolist()), tuple((a + rng.integers(4, 24, 2)).tolist()),
                          rng.integers(30, 255, 3).tolist(), -1)  # fmt: skip
        cv2.rectangle(picture, (x, top), (right, SIZE), (int(rng.integers(40, 240)),) * 3, 3)
        if rng.random() < 0.5:
            colour = rng.integers(30, 255, 3).tolist()
            cv2.rectangle(picture, (x, top - 40), (right, top - 12), colour, -1)
            cv2.putText(picture, "".join(rng.choice(list("ABEKMORST"), 5)), (x + 3, top - 17),
                        cv2.FONT_HERSHEY_DUPLEX, 0.7, (255 - colour[0],) * 3, 2)  # fmt: skip
        x += w + int(rng.integers(6, 30))
    return Texture(picture)


def wall(rng) -> Texture:
    """2 m of wall: render, stone or boards."""
    grey = 165 + 12 * fractal(rng, roughness=0.8, coarsest=4)
    kind = rng.integers(3)
    if kind == 0:
        for y in range(0, SIZE, 32):
            grey[y : y + 3] -= 45
            for x in range((y // 32 % 2) * 32, SIZE, 64):
                grey[y : y + 32, x : x + 3] -= 45
        grey += cv2.resize(
            rng.normal(0, 14, (8, 8)).astype(np.float32),
            (SIZE, SIZE),
            interpolation=cv2.INTER_NEAREST,
        )
    elif kind == 1:
        grey[:, :: int(rng.choice([16, 32]))] -= 60
    return Texture(_picture(grey, (1, 0.95, 0.9)))


def foliage(rng, alpha: bool, density: float = 0.0) -> Texture:
    """Leaves: clumps lit from above, with holes when `alpha`."""
    clumps, leaves = (
        fractal(rng, coarsest=4, roughness=0.7),
        fractal(rng, roughness=1.1, coarsest=16),
    )
    grey = 95 + 34 * clumps + 36 * leaves + np.linspace(25, -25, SIZE)[:, None]
    tint = [(0.75, 1, 0.5), (0.6, 0.85, 0.45), (0.95, 1, 0.6), (0.9, 0.8, 0.5)][rng.integers(4)]
    rgb = _picture(grey, tint, fractal(rng))
    if not alpha:
        return Texture(rgb)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    mask = 1.9 * (1 - np.hypot(x, y) ** 2.5) + 0.55 * clumps + 0.35 * leaves + density > 0.55
    mask[-2:] = mask[:2] = mask[:, :2] = mask[:, -2:] = False
    return Texture(np.dstack([rgb, mask.astype(np.uint8) * 255]), "cutout")


def fence(rng) -> Texture:
    """2 m of pickets, bars or wire with posts."""
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    pitch = int(rng.choice([16, 32, 32, 64]))
    for x in range(0, SIZE, pitch):
        alpha[int(rng.integers(0, 12)) :, x : x + int(pitch * rng.uniform(0.25, 0.75))] = 255
    for y in rng.integers(15, SIZE - 30, 2):
        alpha[y : y + 16] = 255
    alpha[:, :14] = 255
    grey = 165 + 18 * fractal(rng, stretch=(4, 1), coarsest=8)
    return Texture(np.dstack([_picture(grey, (1, 0.95, 0.88)), alpha]), "cutout")


def sky(rng) -> Texture:
    """A dome's wrap-around: blank, hazy or with clouds; brightest at the horizon (bottom row)."""
    clouds = fractal(rng, coarsest=4, roughness=0.5, stretch=(1, 1)) * rng.choice([0, 4, 18, 35])
    grey = np.linspace(rng.uniform(150, 250), 255, SIZE)[:, None] + clouds
    blue = np.array([rng.uniform(0.7, 1), rng.uniform(0.85, 1), 1])
    return Texture(_picture(grey, blue))


def horizon(rng) -> Texture:
    """The far skyline: hills, woods, roofs, as a silhouette in haze."""
    profile = fractal(rng, coarsest=8, roughness=0.7)[0] * 22 + 150
    y = np.arange(SIZE)[:, None]
    grey = 120 + 10 * fractal(rng, coarsest=32) + (SIZE - y) * 0.1
    alpha = (y > profile).astype(np.uint8) * 255
    return Texture(np.dstack([_picture(grey, (0.85, 1, 0.9)), alpha]), "cutout")


def shadow(rng, kind: int) -> Texture:
    """0: what lies under a car, 1: dapples of a tree, 2: an even shadow."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    if kind == 0:
        alpha = 215 * np.clip(4 * (1 - np.maximum(np.abs(x), np.abs(y))), 0, 1)
    elif kind == 1:
        blobs = fractal(rng, coarsest=8, roughness=0.7)
        alpha = 195 * np.clip(3 * (1 - np.hypot(x, y)) + 1.3 * blobs - 0.5, 0, 1)
    else:
        alpha = np.full((SIZE, SIZE), 160.0)
    black = np.full((SIZE, SIZE, 3), 12)
    return Texture(np.dstack([black, alpha]).astype(np.uint8), "blend")


def paint(rng) -> Texture:
    """Worn road paint."""
    grey = 240 + 8 * fractal(rng)
    return Texture(_picture(grey))


def plain(rng) -> Texture:
    """Concrete, metal, roofs: nearly even."""
    return Texture(_picture(190 + rng.uniform(2, 14) * fractal(rng, roughness=0.8, coarsest=4)))


def tiles(rng) -> Texture:
    """A roof's tiles, 4 m."""
    grey = 150 + 12 * fractal(rng, coarsest=4, roughness=0.8)
    grey[::16] -= 40
    return Texture(_picture(grey, (1, 0.8, 0.7)))


def sign(rng) -> Texture:
    """A road sign: a disc or board with something on it."""
    rgb = np.full((SIZE, SIZE, 3), 235, np.uint8)
    colour = [(200, 30, 30), (30, 60, 190), (235, 200, 30)][rng.integers(3)]
    cv2.circle(rgb, (128, 128), 120, colour, 40 if rng.random() < 0.6 else -1)
    cv2.putText(
        rgb, str(rng.integers(10, 99)), (50, 165), cv2.FONT_HERSHEY_DUPLEX, 3.6, (30,) * 3, 12
    )
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(alpha, (128, 128), 127, 255, -1)
    return Texture(np.dstack([rgb, alpha]), "cutout")


def person(rng) -> Texture:
    """Somebody standing or walking, as a cut-out."""
    rgb = np.zeros((SIZE, SIZE, 3), np.uint8)
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    coat, legs, skin = (
        rng.integers(20, 220, 3).tolist(),
        rng.integers(20, 120, 3).tolist(),
        (200, 160, 135),
    )
    stride = int(rng.integers(10, 45))
    for colour, shape in [
        (legs, [(128 - stride, 256), (100, 130), (128, 130), (150, 256)]),
        (legs, [(128 + stride, 256), (110, 130), (150, 130), (128 + stride - 30, 256)]),
        (coat, [(88, 140), (84, 56), (172, 56), (168, 140)]),
    ]:
        for target, value in ((rgb, colour), (alpha, 255)):
            cv2.fillPoly(target, [np.array(shape, np.int32)], value)
    for target, value in ((rgb, skin), (alpha, 255)):
        cv2.circle(target, (128, 32), 24, value, -1)
    noise = fractal(rng)[..., None] * 9
    return Texture(np.dstack([np.clip(rgb + noise, 0, 255).astype(np.uint8), alpha]), "cutout")


KINDS = {
    "asphalt": (4, asphalt), "paving": (3, paving), "grass": (3, grass), "facade": (8, facade),
    "shop": (4, shop), "wall": (3, wall), "hedge": (2, lambda rng: foliage(rng, False)),
    "crown": (4, lambda rng: foliage(rng, True)), "fence": (3, fence), "sky": (2, sky),
    "horizon": (2, horizon), "paint": (1, paint), "plain": (2, plain), "tiles": (2, tiles),
    "sign": (2, sign), "person": (3, person),
}  # fmt: skip


@lru_cache(maxsize=POOLS)
def pool(k: int) -> dict[str, Texture]:
    """Pool k (0 .. POOLS - 1), the same on every machine."""
    from training.data.vehicles import skin

    rng = np.random.default_rng([7, k])
    textures = {f"{kind}{i}": draw(rng) for kind, (n, draw) in KINDS.items() for i in range(n)}
    textures |= {f"shadow{i}": shadow(rng, i) for i in range(3)}
    return textures | {f"car{i}": Texture(skin(rng)) for i in range(3)}
