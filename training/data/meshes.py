"""Quads, and the few solids a street is made of.

A Batch is M quads: corners (M, 4, 3) metres, uv (M, 4, 2) in repeats of the texture (v up), colour
(M, 4, 3) in 0..1 that multiplies the texture. Solids are functions that return (corners, uv).
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

CELL_M = 48.0


class Batch(NamedTuple):
    corners: np.ndarray
    uv: np.ndarray
    colour: np.ndarray


class Scene:
    """Collects quads by texture; light falls on all of them at once when they are asked for."""

    def __init__(self, sun: np.ndarray, contrast: float):
        """sun (3,) unit vector towards it; contrast 0 (overcast) to 1 (only lit faces are bright)."""
        self._sun, self._contrast = sun, contrast
        self._static: dict[str, list[tuple]] = defaultdict(list)
        self._backdrop: list[tuple[str, Batch]] = []
        self._movers: list[list[tuple[str, Batch]]] = []

    def _lit(self, added: list[tuple]) -> Batch:
        """What was added as (quads, tint, shade) as one batch."""
        corners, uv = join(*(quads for quads, _, _ in added))
        colour = np.concatenate([np.broadcast_to(np.asarray(tint, float), (len(quads[0]), 3))
                                 for quads, tint, _ in added])  # fmt: skip
        shaded = np.repeat([shade for _, _, shade in added], [len(quads[0]) for quads, _, _ in added])
        normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        light = 1 - self._contrast + self._contrast * np.clip(normal @ self._sun, 0, 1)
        colour = np.where(shaded[:, None], colour * light[:, None], colour)
        return Batch(corners, uv, np.repeat(colour[:, None], 4, axis=1))

    def add(self, texture: str, quads, tint=(1, 1, 1), shade: bool = True) -> None:
        """Static quads: (corners (M, 4, 3), uv (M, 4, 2)); tint (3,) or (M, 3)."""
        if len(quads[0]):
            self._static[texture].append((quads, tint, shade))

    def add_backdrop(self, texture: str, quads, tint=(1, 1, 1)) -> None:
        """What is infinitely far: it moves along with the camera."""
        self._backdrop.append((texture, self._lit([(quads, tint, False)])))

    def add_mover(self, parts) -> None:
        """A thing that is placed anew in each frame: [(texture, quads, tint)]."""
        self._movers.append([(name, self._lit([(quads, tint, True)])) for name, quads, tint in parts])

    def add_placed(self, parts, world_T_thing: np.ndarray) -> None:
        """The same parts, standing still at world_T_thing (4, 4)."""
        for name, (corners, uv), tint in parts:
            self.add(name, (corners @ world_T_thing[:3, :3].T + world_T_thing[:3, 3], uv), tint)

    def cells(self) -> dict[tuple[str, tuple[float, float]], Batch]:
        """Batches by (texture, centre of a square cell of the world)."""
        result = {}
        for texture, added in self._static.items():
            whole = self._lit(added)
            cells, cell = np.unique(np.floor(whole.corners[..., :2].mean(1) / CELL_M).astype(int), axis=0,
                                    return_inverse=True)  # fmt: skip
            for k, index in enumerate(cells):
                centre = tuple(((index + 0.5) * CELL_M).tolist())
                result[texture, centre] = Batch(*(part[cell == k] for part in whole))
        return result

    def backdrop(self):
        return self._backdrop

    def movers(self):
        return self._movers


def join(*parts):
    """Several (corners, uv) as one."""
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def quad(a, b, c, d, u=1.0, v=1.0):
    """One quad a-b-c-d; the texture repeats u times along a-b and v times along a-d."""
    uv = np.array([[0, 0], [u, 0], [u, v], [0, v]], float)
    return np.array([[a, b, c, d]], float), uv[None]


def ribbon(left: np.ndarray, right: np.ndarray, u, v: np.ndarray):
    """A strip between two lines (N, 3); u = (right's, left's) texture coordinate, v (N,) along."""
    corners = np.stack([left[:-1], right[:-1], right[1:], left[1:]], axis=1)
    uv = np.empty((len(corners), 4, 2))
    uv[..., 0] = np.array([u[1], u[0], u[0], u[1]])
    uv[..., 1] = np.stack([v[:-1], v[:-1], v[1:], v[1:]], axis=1)
    return corners, uv


def prism(base: np.ndarray, height, tile_u: float, tile_v: float):
    """Walls over a polygon base (N, 3), counter-clockwise seen from above; tiles in metres."""
    top = base + np.array([0, 0, 1.0]) * np.reshape(height, (-1, 1))
    after, top_after = np.roll(base, -1, axis=0), np.roll(top, -1, axis=0)
    corners = np.stack([base, after, top_after, top], axis=1)
    length = np.linalg.norm(after - base, axis=1) / tile_u
    rise = np.broadcast_to(np.reshape(height, -1), len(base)) / tile_v
    zero = np.zeros(len(base))
    u, v = np.stack([zero, length, length, zero], 1), np.stack([zero, zero, rise, rise], 1)
    return corners, np.stack([u, v], axis=-1)


def rectangle(centre, along, length: float, width: float) -> np.ndarray:
    """(4, 3) counter-clockwise corners round `centre` (3,), long side `along` (2,)."""
    a = np.array([along[0], along[1], 0.0]) * length / 2
    b = np.array([-along[1], along[0], 0.0]) * width / 2
    return np.asarray(centre) + np.stack([-a - b, a - b, a + b, -a + b])


def lid(base: np.ndarray, height: float, tile: float):
    """A flat roof over a rectangle (4, 3)."""
    top = base + [0, 0, height]
    size = np.linalg.norm(top[1] - top[0]) / tile, np.linalg.norm(top[2] - top[1]) / tile
    return quad(*top, *size)


def gable(base: np.ndarray, height: float, rise: float, tile: float):
    """A saddle roof over a rectangle (4, 3), ridge along its first side, with gable ends."""
    a, b, c, d = base + [0, 0, height]
    end, start = (b + c) / 2 + [0, 0, rise], (a + d) / 2 + [0, 0, rise]
    over = 0.06 * (a - d)
    u, v = np.linalg.norm(b - a) / tile, np.linalg.norm(start - a) / tile
    slopes = join(quad(a + over, b + over, end, start, u, v), quad(c - over, d - over, start, end, u, v))
    return slopes, join(quad(b, c, end, end, 1, 1), quad(d, a, start, start, 1, 1))


def crossed(foot, height: float, width: float, angle: float, blades: int = 2):
    """Upright pictures that cross in one axis at `foot` (3,): a bush, a tree's crown, a person."""
    angles = angle + np.pi * np.arange(blades) / blades
    side = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1) * width / 2
    up = np.array([0, 0, height])
    corners = np.stack([foot - side, foot + side, foot + side + up, foot - side + up], axis=1)
    return corners, np.tile(np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]), (blades, 1, 1))


def upright(low: np.ndarray, high: np.ndarray, along: np.ndarray, rise: float):
    """A wall between two lines (N, 3); the texture stands upright: along (N,) repeats, `rise` upwards."""
    corners = np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)
    u = np.stack([along[:-1], along[1:], along[1:], along[:-1]], axis=1)
    v = np.broadcast_to(np.array([0, 0, rise, rise], float), u.shape)
    return corners, np.stack([u, v], axis=-1)
