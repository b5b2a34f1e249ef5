"""Trees, woods and their dapples on the road."""

import numpy as np

from training.data.meshes import crossed, join, prism, quad, rectangle
from training.data.street import Street


class Plants:
    """Puts trees where the ground is free; sun (3,) and contrast as in meshes.Scene."""

    def __init__(self, street: Street, sun: np.ndarray, contrast: float):
        self._street, self._rng, self._sun, self._contrast = street, street.rng, sun, contrast

    def row(self, lane, side: int, s0: float, s1: float, edge: float) -> None:
        """Trees along a stretch."""
        for s in np.arange(s0, s1, self._rng.uniform(5, 14)):
            self.tree(lane, s + self._rng.normal(0, 1), side * (edge + self._rng.uniform(0, 4)))

    def wood(self, lane, side: int, s0: float, s1: float, edge: float) -> None:
        """Three rows of trees along a stretch."""
        for depth, step in ((0, 4), (4, 4), (9, 6)):
            for s in np.arange(s0, s1, step):
                lateral = edge + depth + self._rng.uniform(0, 3)
                self.tree(lane, s + self._rng.normal(0, 1.5), side * lateral)

    def tree(self, lane, s: float, lateral: float) -> None:
        """One tree: a trunk, a crown of crossed pictures and one lying picture seen from below."""
        rng, scene = self._rng, self._street.scene
        foot = lane.road.at(s, lateral, -0.1)
        if not self._street.free(foot[None], 0.5)[0]:
            return
        height = rng.uniform(4, 13)
        stem, width = height * rng.uniform(0.15, 0.4), min(height * rng.uniform(0.5, 0.9), 9)
        green = np.array([rng.uniform(0.85, 1.1), 1, 0.9])
        tint = rng.uniform(0.6, 1.05) * (1 - 0.6 * self._contrast) * green
        girth = rng.uniform(0.15, 0.45)
        trunk = prism(rectangle(foot, (1, 0), girth, girth), stem + 1.5, 0.7, 2)
        scene.add("wall2", trunk, (0.42, 0.36, 0.3))
        crown = crossed(foot + [0, 0, stem], height - stem, width, rng.uniform(0, np.pi), 3)
        middle = foot + [0, 0, stem + 0.45 * (height - stem)]
        flat = quad(*rectangle(middle, (np.cos(s), np.sin(s)), width, width))
        scene.add(f"crown{rng.integers(4)}", join(crown, flat), tint, shade=False)
        if self._contrast > 0.15 and rng.random() < 0.8 and lane is self._street.lanes[0]:
            shift = -self._sun[:2] / max(self._sun[2], 0.3) * height * 0.6
            axes = lane.road.frame(np.array(float(s)))[:2, :2]
            at, off = s + shift @ axes[:, 0], lateral + shift @ axes[:, 1]
            half = width / 2
            self._street.shadow("shadow1", (at - half, at + half), (off - half, off + half))
