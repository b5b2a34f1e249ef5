"""Textures of what has no shape of its own: ground, walls, leaves, paint, shadows. All tile."""

import cv2
import numpy as np

from training.data.noise import SIZE, Texture, fractal, picture_of


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
        line = rng.integers(0, size, 2) + np.cumsum(rng.normal(0, rng.uniform(2, 9), (40, 2)) + drift, axis=0)
        dark, thick = float(rng.uniform(35, 115)), int(rng.integers(1, 6))
        cv2.polylines(grey, [line.astype(np.int32)], False, dark, thick, cv2.LINE_AA)
    if rng.random() < 0.4:
        at = tuple(rng.integers(60, size - 60, 2).tolist())
        cv2.circle(grey, at, 21, 85.0, -1, cv2.LINE_AA)
        cv2.circle(grey, at, 17, 120.0, 2, cv2.LINE_AA)
    return Texture(picture_of(grey, (1, 0.99, 0.97)))


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
    return Texture(picture_of(grey, (1, 0.98, 0.95)))


def grass(rng) -> Texture:
    """4 m of verge, meadow, stubble or bare soil."""
    grey = 130 + 27 * fractal(rng, roughness=0.85, coarsest=8) + 18 * fractal(rng, coarsest=2)
    tint = [(0.72, 1, 0.5), (0.85, 1, 0.6), (1, 0.92, 0.62), (0.9, 0.78, 0.6)][rng.integers(4)]
    return Texture(picture_of(grey, tint, fractal(rng, coarsest=4)))


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
    return Texture(picture_of(grey, (1, 0.95, 0.9)))


def foliage(rng, alpha: bool, density: float = 0.0) -> Texture:
    """Leaves: clumps lit from above, with holes when `alpha`."""
    clumps, leaves = (
        fractal(rng, coarsest=4, roughness=0.7),
        fractal(rng, roughness=1.1, coarsest=16),
    )
    grey = 95 + 34 * clumps + 36 * leaves + np.linspace(25, -25, SIZE)[:, None]
    tint = [(0.75, 1, 0.5), (0.6, 0.85, 0.45), (0.95, 1, 0.6), (0.9, 0.8, 0.5)][rng.integers(4)]
    rgb = picture_of(grey, tint, fractal(rng))
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
    return Texture(np.dstack([picture_of(grey, (1, 0.95, 0.88)), alpha]), "cutout")


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
    return Texture(picture_of(grey))


def plain(rng) -> Texture:
    """Concrete, metal, roofs: nearly even."""
    return Texture(picture_of(190 + rng.uniform(2, 14) * fractal(rng, roughness=0.8, coarsest=4)))


def tiles(rng) -> Texture:
    """A roof's tiles, 4 m."""
    grey = 150 + 12 * fractal(rng, coarsest=4, roughness=0.8)
    grey[::16] -= 40
    return Texture(picture_of(grey, (1, 0.8, 0.7)))
