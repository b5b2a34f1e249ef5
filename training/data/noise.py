"""What every texture is made from: tiling noise, and pictures from grey values."""

from typing import NamedTuple

import cv2
import numpy as np

SIZE = 256


class Texture(NamedTuple):
    """pixels (H, W, 3 or 4) RGB(A) uint8, rows top to bottom; mode: opaque, cutout (alpha tested), blend."""

    pixels: np.ndarray
    mode: str = "opaque"


def fractal(rng, size: int = SIZE, roughness: float = 0.6, coarsest: int = 4, stretch=(1, 1)) -> np.ndarray:
    """(size, size) float32 noise of unit deviation that tiles; each octave `roughness` times the last."""
    total, weight, cells = None, 1.0, coarsest
    while cells <= size:
        shape = max(cells // stretch[1], 1), max(cells // stretch[0], 1)
        octave = weight * rng.standard_normal(shape, np.float32)
        total = octave if total is None else _enlarged(total, shape) + octave
        weight, cells = weight * roughness, cells * 2
    total = _enlarged(total, (size, size))
    return (total - total.mean()) / (total.std() + 1e-6)


def _enlarged(tile: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A tile that repeats, smoothly enlarged to `shape` by a whole factor (1 or 2, as a rule)."""
    rows, columns = shape[0] // tile.shape[0], shape[1] // tile.shape[1]
    padded = np.pad(tile, 2, mode="wrap")
    large = cv2.resize(padded, None, fx=columns, fy=rows, interpolation=cv2.INTER_CUBIC)
    return large[2 * rows : 2 * rows + shape[0], 2 * columns : 2 * columns + shape[1]]


def picture_of(grey: np.ndarray, tint=(1, 1, 1), colour_noise=None) -> np.ndarray:
    """(H, W) grey -> (H, W, 3) uint8, tinted; colour_noise (H, W) shifts it between yellow and blue."""
    rgb = grey[..., None] * np.asarray(tint, np.float32)
    if colour_noise is not None:
        rgb = rgb * (1 + colour_noise[..., None] * np.array([0.06, 0.0, -0.08], np.float32))
    return np.clip(rgb, 0, 255).astype(np.uint8)
