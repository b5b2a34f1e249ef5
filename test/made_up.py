"""Drives, images and projections that tests are made of."""

import cv2
import numpy as np

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.frame import GRID
from distill_vo.frontend import CORNER, SEEN, finer_patches_from
from training.data.cache import PairCache
from training.data.drives import Drive, TrueFrame

TEXTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (400, 900, 3), np.uint8), (9, 9), 0)
STEP = np.array([0.02, 0.0, 1.0, 0.0, 0.03, 0.0])

SIZE = (96, 320)
MS = 10**6
PERIOD_S = 0.12
TWIST = np.array([8.0, 0.1, 0.0, 0.02, 0.01, 0.3])  # of the base


def image(k: int) -> np.ndarray:
    """A picture that wanders over a texture."""
    return TEXTURE[k:k + CANONICAL.height, 3 * k:3 * k + CANONICAL.width]


def pose(k: int) -> np.ndarray:
    return geometry.exp(k * STEP)


def synthetic(name: str, numbers) -> Drive:
    frames = (TrueFrame(k, image(k), pose(k)) for k in numbers)
    return Drive(name, len(numbers), PERIOD_S, {}, lambda: (CANONICAL, frames))


def tracks(cache: PairCache, name: str, stride: int) -> list[slice]:
    return [t.rows for t in cache.tracks if (t.name, t.stride) == (name, stride)]


def chained(motions: np.ndarray) -> np.ndarray:
    out = np.eye(4)
    for T in geometry.from_motion(motions):
        out = out @ T
    return out


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, SIZE, np.uint8)


def constant_velocity(stamps_ns, twist=TWIST) -> np.ndarray:
    return geometry.exp(np.asarray(stamps_ns)[:, None] / 1e9 * twist)


def rays(pixels: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) of the canonical camera -> directions (..., 3), z = 1."""
    return np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1) @ np.linalg.inv(CANONICAL.K).T


def seen(points: np.ndarray) -> np.ndarray:
    """Points (..., 3) in optical axes -> canonical pixels (..., 2)."""
    pixels = points @ CANONICAL.K.T
    return pixels[..., :2] / pixels[..., 2:]


def mirrored(x: np.ndarray) -> np.ndarray:
    """What a front end gives (..., channels, rows, columns) -> what it would of the views seen in a mirror.

    Columns flipped, of flow every u and x negated. Corners of a cell stay in their order, on which nothing
    depends.
    """
    flipped, end = x[..., ::-1].copy(), x.shape[-3]
    if x.shape[-2:] == GRID[::-1]:
        patches = finer_patches_from(end)
        aside = *range(SEEN, patches, CORNER), *range(SEEN + 2, patches, CORNER), *range(patches, end, 2)
        flipped[..., [0, 2, *aside], :, :] *= -1
    return flipped
