"""What stands beside the carriageway: buildings, woods, hedges, fences, walls, rails, poles, parked cars."""

import numpy as np

from training.data import vehicles
from training.data.buildings import Buildings
from training.data.meshes import crossed, prism, quad, rectangle, ribbon, upright
from training.data.plants import Plants
from training.data.street import KERB_M, Street


class Roadside:
    """Fills both sides of every road of a Street; sun (3,) and contrast as in meshes.Scene."""

    def __init__(self, street: Street, sun: np.ndarray, contrast: float):
        self._street, self._scene, self._rng, self._style = street, street.scene, street.rng, street.style
        self._plants = Plants(street, sun, contrast)
        self._buildings = Buildings(street, self._plants, sun, contrast)
        self._kinds = {
            "open": lambda *stretch: None, "facades": self._buildings.terrace,
            "houses": self._buildings.houses,
            "halls": self._buildings.halls, "trees": self._plants.row, "forest": self._forest,
            "hedge": self._hedge, "fence": self._fence, "wall": self._wall, "barrier": self._barrier,
            "rail": self._rail, "bank": self._bank,
        }  # fmt: skip
        if self._style.lanes:
            self._rail(street.lanes[0], 1, 0, street.lanes[0].road.length, street.lanes[0].left + 1.2)
        for index, lane in enumerate(street.lanes):
            for side in (1, -1):
                self._frontage(lane, side)
                self._kerbside(index, lane, side)

    def _frontage(self, lane, side: int) -> None:
        """Stretch after stretch (s, s + length), one kind of thing beyond the pavement."""
        rng, chances = self._rng, self._style.frontage
        weights = np.array(list(chances.values()))
        s = 0.0
        while s < lane.road.length - 6:
            length = min(rng.uniform(15, 90), lane.road.length - s)
            kind = str(rng.choice(list(chances), p=weights / weights.sum()))
            edge = lane.left if side > 0 else -lane.right
            edge += lane.pavement + rng.uniform(*self._style.setback)
            self._kinds[kind](lane, side, s, s + length, edge)
            s += length

    def _runs(self, lane, side, s0, s1, edge, step=3.0):
        """Stations along a stretch and the points there, broken where a carriageway passes."""
        s = np.linspace(s0, s1, max(2, int((s1 - s0) / step) + 1))
        points = lane.road.at(s, side * edge, -0.1)
        good = self._street.free(points, min(0.9, lane.pavement + 0.6))
        pieces = np.split(np.arange(len(s)), np.flatnonzero(~good))
        return [(s[p[good[p]]], points[p[good[p]]]) for p in pieces if good[p].sum() > 1]

    def _strip(self, texture, runs, height, tile, tint, thick=0.0, side=1) -> None:
        """Something upright along runs, with a top `thick` metres deep."""
        for s, points in runs:
            top, along = points + [0, 0, height], (s - s[0]) / tile
            self._scene.add(texture, upright(points, top, along, height / tile), tint)
            if thick:
                normal = np.cross(np.gradient(points, axis=0), [0, 0, 1.0])
                normal *= -side * thick / np.linalg.norm(normal, axis=1, keepdims=True)
                self._scene.add(texture, ribbon(top, top + normal, (0, thick / tile), along), tint)

    def _hedge(self, *stretch) -> None:
        rng = self._rng
        tint = rng.uniform(0.55, 1.0) * np.array([0.95, 1, 0.9])
        name, height = f"hedge{rng.integers(2)}", rng.uniform(0.7, 2.6)
        self._strip(name, self._runs(*stretch), height, 1.7, tint, 0.9, stretch[1])

    def _fence(self, lane, side, s0, s1, edge) -> None:
        rng = self._rng
        name, height, tint = f"fence{rng.integers(3)}", rng.uniform(0.8, 2.0), np.full(3, rng.uniform(0.3, 1))
        self._strip(name, self._runs(lane, side, s0, s1, edge), height, height, tint)
        if rng.random() < 0.6:
            self._buildings.houses(lane, side, s0, s1, edge + rng.uniform(3, 8))

    def _wall(self, *stretch) -> None:
        rng = self._rng
        name, height, tint = f"wall{rng.integers(3)}", rng.uniform(0.6, 3), rng.uniform(0.6, 1, 3)
        self._strip(name, self._runs(*stretch), height, 2, tint, 0.3, stretch[1])

    def _barrier(self, *stretch) -> None:
        rng = self._rng
        name, height, tint = f"wall{rng.integers(3)}", rng.uniform(2.5, 5.5), rng.uniform(0.6, 1, 3)
        self._strip(name, self._runs(*stretch), height, 4, tint)

    def _rail(self, lane, side, s0, s1, edge) -> None:
        for s, points in self._runs(lane, side, s0, s1, edge):
            low, high = points + [0, 0, 0.55], points + [0, 0, 0.87]
            self._scene.add("plain0", upright(low, high, s, 0.3), np.full(3, self._rng.uniform(0.6, 1)))
            for p in points[::2]:
                self._scene.add("plain1", crossed(p, 0.8, 0.1, 0.4), (0.5, 0.5, 0.5))
        if self._rng.random() < 0.5:
            self._plants.row(lane, side, s0, s1, edge + 5)

    def _bank(self, lane, side, s0, s1, edge) -> None:
        """A grassy slope up."""
        rise = self._rng.uniform(1.5, 5)
        tint = np.full(3, self._rng.uniform(0.5, 0.9))
        for s, points in self._runs(lane, side, s0, s1, edge):
            outward = lane.road.at(s, side * (edge + 2 * rise)) - lane.road.at(s, side * edge)
            top, middle = points + outward + [0, 0, rise], points + 0.5 * outward + [0, 0, 0.6 * rise]
            for low, high, v in ((points, middle, 0.0), (middle, top, rise / 3)):
                corners, uv = upright(low, high, s / 4, rise / 3)
                self._scene.add("grass1", (corners, uv + [0, v]), tint)

    def _forest(self, lane, side, s0, s1, edge) -> None:
        """Trees before the dark of a wood, often with undergrowth."""
        rng = self._rng
        self._plants.wood(lane, side, s0, s1, edge)
        runs = self._runs(lane, side, s0, s1, edge + 13, 6)
        self._strip(f"hedge{rng.integers(2)}", runs, rng.uniform(6, 14), 5, np.array([0.42, 0.47, 0.4]))
        if rng.random() < 0.6:
            runs = self._runs(lane, side, s0, s1, edge + 1)
            self._strip("crown3", runs, 1.3, 1.5, np.array([0.6, 0.65, 0.55]))

    def _kerbside(self, index: int, lane, side: int) -> None:
        """Parked cars, street trees, lamps, signs, people who stand."""
        rng, style = self._rng, self._style
        edge = lane.left if side > 0 else -lane.right
        length = lane.road.length
        crowd, green = rng.uniform(0, 1, 2)
        chance = style.parked / 16 * (0.5 + crowd) if rng.random() < 0.75 else 0.0
        for s in np.arange(4, length - 4, 6.2):
            if rng.random() < chance:
                self._park(lane, index, s + rng.normal(0, 0.3), side, edge)
        for s in rng.uniform(0, length, rng.poisson(style.trees * green * length / 100)):
            self._plants.tree(lane, s, side * (edge + max(lane.pavement - 0.4, 1.0) + rng.uniform(0, 0.5)))
        for s in rng.uniform(0, length, rng.poisson(style.poles * length / 100)):
            self._pole(lane, s, side, edge)
        for s in rng.uniform(0, length, rng.poisson(style.people * length / 100)):
            place = lane.road.frame(np.array(s), side * (edge + rng.uniform(0.3, 2)))
            place[:3, 3] += KERB_M * place[:3, 2]
            if self._street.free(place[None, :3, 3], 0.2)[0]:
                self._scene.add_placed(vehicles.walker(rng), place)

    def _park(self, lane, index: int, s: float, side: int, edge: float) -> None:
        rng = self._rng
        lateral = edge - 1.0 if edge > 4.2 else edge + 0.75  # half on the pavement in narrow streets
        place = lane.road.frame(np.array(s), side * lateral)
        on_another = not self._street.free(place[None, :3, 3], 2.5, skip=index)[0]
        if on_another or abs(lane.road.curvature[int(s)]) > 0.04:
            return
        parts, _ = vehicles.car(rng, rng.choice(["car", "car", "car", "car", "van"]))
        turn = rng.normal(0, 0.03) + (np.pi if side > 0 and rng.random() < 0.8 else 0)
        spin = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        place[:3, :3] = place[:3, :3] @ spin
        self._scene.add_placed(parts, place)

    def _pole(self, lane, s: float, side: int, edge: float) -> None:
        """A sign or a lamp."""
        rng = self._rng
        foot = lane.road.at(s, side * (edge + rng.uniform(0.4, 1.5)), -0.1)
        if not self._street.free(foot[None], 0.3)[0]:
            return
        height, girth = rng.uniform(2.2, 9), rng.uniform(0.07, 0.25)
        tint = np.full(3, rng.uniform(0.25, 0.9))
        self._scene.add("plain1", prism(rectangle(foot, (1, 0), girth, girth), height, 1, 1), tint)
        across = lane.road.frame(np.array(float(s)))[:3, 1]
        if height < 3.6:
            top, size = foot + [0, 0, height - 0.3], rng.uniform(0.5, 0.8)
            a, up = -across * size / 2, np.array([0, 0, size])
            board = quad(top - a, top + a, top + a + up, top - a + up)
            self._scene.add(f"sign{rng.integers(2)}", board, (1, 1, 1))
        elif rng.random() < 0.6:
            arm, top, up = -side * across * rng.uniform(1, 3), foot + [0, 0, height], np.array([0, 0, 0.15])
            self._scene.add("plain1", quad(top, top + arm, top + arm + up, top + up), tint)
