"""Rows of town houses, detached houses, halls, and the shadows they throw on the road."""

import numpy as np

from training.data.meshes import gable, lid, prism
from training.data.plants import Plants
from training.data.street import Street


class Buildings:
    """Puts buildings on free ground along a stretch (s0, s1) of a lane's side, `edge` m from its line."""

    def __init__(self, street: Street, plants: Plants, sun: np.ndarray, contrast: float):
        self._street, self._plants, self._rng = street, plants, street.rng
        self._sun, self._contrast = sun, contrast
        self._facades = self._rng.integers(0, 8, 3)  # few kinds a world: it is drawn faster

    def terrace(self, lane, side: int, s0: float, s1: float, edge: float) -> None:
        """Town houses wall to wall, some with shops."""
        rng = self._rng
        gaps = (0, 0.01) if rng.random() < 0.7 else (0, 6)
        for base, span in self._lots(lane, side, s0, s1, edge, (8, 20), gaps, rng.uniform(8, 12)):
            ground = f"shop{rng.integers(4)}" if rng.random() < 0.55 else None
            storeys = rng.integers(*self._street.style.storeys) + 1
            total = self._build(base, storeys, self._facade(), ground, rng.random() < 0.5)
            self._darken(lane, side, span, edge, total)

    def houses(self, lane, side: int, s0: float, s1: float, edge: float) -> None:
        """Houses with gardens between them."""
        rng = self._rng
        for base, span in self._lots(lane, side, s0, s1, edge, (7, 14), (1.5, 12), rng.uniform(7, 10)):
            total = self._build(base, rng.integers(1, 4), self._facade(), None, rng.random() < 0.85)
            self._darken(lane, side, span, edge, total)
            if rng.random() < 0.5:
                self._plants.tree(lane, span[1] + 1, side * (edge - 0.5))

    def halls(self, lane, side: int, s0: float, s1: float, edge: float) -> None:
        """Factories and shopping sheds."""
        rng = self._rng
        for base, span in self._lots(lane, side, s0, s1, edge, (18, 45), (3, 20), rng.uniform(15, 30)):
            skin = f"wall{rng.integers(3)}" if rng.random() < 0.6 else self._facade()
            self._darken(lane, side, span, edge, self._build(base, rng.integers(2, 4), skin, None, False))

    def _facade(self) -> str:
        return f"facade{self._rng.choice(self._facades)}"

    def _lots(self, lane, side, s0, s1, edge, widths, gaps, depth):
        """Yield free rectangles (4, 3), counter-clockwise seen from above, and their stations."""
        s = s0 + self._rng.uniform(0, 3)
        while s < s1 - 4:
            width = self._rng.uniform(*widths)
            a, b = lane.road.at(np.array([s, s + width]), side * edge, -1.0)
            out = np.cross(b - a, [0, 0, 1.0]) * -side
            out *= depth / (np.linalg.norm(out) + 1e-9)
            base = np.stack([a, b, b + out, a + out])[[0, 1, 2, 3] if side > 0 else [1, 0, 3, 2]]
            base[:, 2] = base[:, 2].min()
            grid = np.linspace(0, 1, 5)
            ground = a + grid[:, None, None] * (b - a) + grid[None, :, None] * out
            if self._street.free(ground, min(0.8, 0.3 + lane.pavement)).all():
                yield base, (s, s + width)
            s += width + self._rng.uniform(*gaps)

    def _build(self, base, storeys: int, skin: str, ground: str | None, roof: bool) -> float:
        """Walls, perhaps a ground floor of another kind, and a roof; the height above the road."""
        rng, scene = self._rng, self._street.scene
        tint = rng.uniform(0.62, 1.0) * rng.uniform(0.85, 1.0, 3)
        lift = 4.6 if ground else 0.0
        if ground:
            scene.add(ground, prism(base, lift, 8, lift), tint)
        base = base + [0, 0, lift]
        floor = rng.uniform(2.7, 3.4)
        scene.add(skin, prism(base, storeys * floor, rng.uniform(3.5, 7), floor), tint)
        if roof:
            slopes, ends = gable(base, storeys * floor, rng.uniform(1.5, 4), 4)
            scene.add(f"tiles{rng.integers(2)}", slopes, rng.uniform(0.45, 1, 3))
            scene.add("plain1", ends, tint)
        else:
            scene.add("plain0", lid(base, storeys * floor, 4), (0.6, 0.6, 0.6))
        return storeys * floor + lift

    def _darken(self, lane, side: int, span: tuple[float, float], edge: float, height: float) -> None:
        """The shadow across the main road, when the sun stands behind the building."""
        if lane is not self._street.lanes[0] or self._contrast <= 0.15:
            return
        axes = lane.road.frame(np.array(span[0]))[:2, :2]
        along, across = self._sun[:2] @ axes
        reach = -across / max(self._sun[2], 0.25) * height
        if reach * side < -2:
            slant = float(np.clip(along / across, -3, 3))
            self._street.shadow("shadow2", span, (side * edge, side * edge + reach), slant)
