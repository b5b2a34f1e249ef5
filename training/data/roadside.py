"""What stands beside the carriageway: houses, hedges, fences, trees, poles, parked cars, and the sky above."""

import numpy as np

from training.data import vehicles
from training.data.meshes import Scene, crossed, gable, join, lid, prism, quad, rectangle, ribbon
from training.data.street import KERB_M, Street


class Roadside:
    """Fills both sides of every road of a Street."""

    def __init__(self, street: Street, sun: np.ndarray, contrast: float):
        self.street, self.scene, self.rng, self.style = (
            street,
            street.scene,
            street.rng,
            street.style,
        )
        self._sun, self._contrast = sun, contrast
        self._facade_kinds = self.rng.integers(0, 8, 3)  # few kinds a world: it is drawn faster
        for index, lane in enumerate(street.lanes):
            for side in (1, -1):
                self._frontage(index, lane, side)
                self._kerbside(index, lane, side)

    def _frontage(self, index: int, lane, side: int) -> None:
        """Stretch after stretch, one kind of thing beyond the pavement."""
        rng, kinds = self.rng, self.style.frontage
        weights = np.array(list(kinds.values()))
        s = 0.0
        while s < lane.road.length - 6:
            length = min(rng.uniform(15, 90), lane.road.length - s)
            kind = str(rng.choice(list(kinds), p=weights / weights.sum()))
            edge = (
                (lane.left if side > 0 else -lane.right)
                + lane.pavement
                + rng.uniform(*self.style.setback)
            )
            getattr(self, f"_{kind}")(lane, side, s, s + length, edge)
            s += length

    def _line(self, lane, side, s0, s1, edge, step=3.0):
        """Stations along a stretch and the points there, kept off every carriageway; runs of them."""
        s = np.linspace(s0, s1, max(2, int((s1 - s0) / step) + 1))
        points = lane.road.at(s, side * edge, -0.1)
        good = self.street.free(points, min(0.9, lane.pavement + 0.6))
        cuts = np.split(np.arange(len(s)), np.flatnonzero(~good))
        return [(s[c[good[c]]], points[c[good[c]]]) for c in cuts if good[c].sum() > 1]

    def _strip(self, texture, runs, height, tile, tint, thick=0.0, side=1):
        for s, points in runs:
            top = points + [0, 0, height]
            along = (s - s[0]) / tile
            self.scene.add(texture, _upright(points, top, along, height / tile), tint)
            if thick:
                normal = np.cross(np.gradient(points, axis=0), [0, 0, 1.0])
                normal *= -side * thick / np.linalg.norm(normal, axis=1, keepdims=True)
                self.scene.add(texture, ribbon(top, top + normal, (0, thick / tile), along), tint)

    def _open(self, lane, side, s0, s1, edge):
        pass

    def _hedge(self, lane, side, s0, s1, edge):
        tint = self.rng.uniform(0.55, 1.0) * np.array([0.95, 1, 0.9])
        runs = self._line(lane, side, s0, s1, edge)
        self._strip(
            f"hedge{self.rng.integers(2)}", runs, self.rng.uniform(0.7, 2.6), 1.7, tint, 0.9, side
        )

    def _fence(self, lane, side, s0, s1, edge):
        runs = self._line(lane, side, s0, s1, edge)
        height = self.rng.uniform(0.8, 2.0)
        self._strip(
            f"fence{self.rng.integers(3)}",
            runs,
            height,
            height,
            self.rng.uniform(0.3, 1) * np.ones(3),
        )
        if self.rng.random() < 0.6:
            self._houses(lane, side, s0, s1, edge + self.rng.uniform(3, 8))

    def _wall(self, lane, side, s0, s1, edge):
        runs = self._line(lane, side, s0, s1, edge)
        self._strip(
            f"wall{self.rng.integers(3)}",
            runs,
            self.rng.uniform(0.6, 3),
            2,
            self.rng.uniform(0.6, 1, 3),
            0.3,
            side,
        )

    def _barrier(self, lane, side, s0, s1, edge):
        runs = self._line(lane, side, s0, s1, edge)
        self._strip(
            f"wall{self.rng.integers(3)}",
            runs,
            self.rng.uniform(2.5, 5.5),
            4,
            self.rng.uniform(0.6, 1, 3),
        )

    def _rail(self, lane, side, s0, s1, edge):
        for s, points in self._line(lane, side, s0, s1, edge):
            low, high = points + [0, 0, 0.55], points + [0, 0, 0.87]
            self.scene.add(
                "plain0", _upright(low, high, s, 0.3), np.full(3, self.rng.uniform(0.6, 1))
            )
            for p in points[::2]:
                self.scene.add("plain1", crossed(p, 0.8, 0.1, 0.4), (0.5, 0.5, 0.5))
        if self.rng.random() < 0.5:
            self._trees(lane, side, s0, s1, edge + 5)

    def _bank(self, lane, side, s0, s1, edge):
        """A grassy slope up."""
        rise = self.rng.uniform(1.5, 5)
        for s, points in self._line(lane, side, s0, s1, edge):
            outward = lane.road.at(s, side * (edge + 2 * rise)) - lane.road.at(s, side * edge)
            top = points + outward + [0, 0, rise]
            mid = points + 0.5 * outward + [0, 0, 0.6 * rise]
            for a, b, v in ((points, mid, 0.0), (mid, top, rise / 3)):
                corners, uv = _upright(a, b, s / 4, rise / 3)
                self.scene.add(
                    "grass1", (corners, uv + [0, v]), self.rng.uniform(0.5, 0.9) * np.ones(3)
                )

    def _trees(self, lane, side, s0, s1, edge):
        for s in np.arange(s0, s1, self.rng.uniform(5, 14)):
            self._tree(lane, s + self.rng.normal(0, 1), side * (edge + self.rng.uniform(0, 4)))

    def _forest(self, lane, side, s0, s1, edge):
        for depth, step in ((0, 4), (4, 4), (9, 6)):
            for s in np.arange(s0, s1, step):
                self._tree(
                    lane,
                    s + self.rng.normal(0, 1.5),
                    side * (edge + depth + self.rng.uniform(0, 3)),
                )
        runs = self._line(lane, side, s0, s1, edge + 13, 6)
        self._strip(
            f"hedge{self.rng.integers(2)}",
            runs,
            self.rng.uniform(6, 14),
            5,
            np.array([0.42, 0.47, 0.4]),
        )
        if self.rng.random() < 0.6:
            self._strip(
                "crown3",
                self._line(lane, side, s0, s1, edge + 1),
                1.3,
                1.5,
                np.array([0.6, 0.65, 0.55]),
            )

    def _tree(self, lane, s, lateral):
        rng = self.rng
        foot = lane.road.at(s, lateral, -0.1)
        if not self.street.free(foot[None], 0.5)[0]:
            return
        height = rng.uniform(4, 13)
        stem = height * rng.uniform(0.15, 0.4)
        width = min(height * rng.uniform(0.5, 0.9), 9)
        tint = (
            rng.uniform(0.6, 1.05)
            * np.array([rng.uniform(0.85, 1.1), 1, 0.9])
            * (1 - 0.6 * self._contrast)
        )
        girth = rng.uniform(0.15, 0.45)
        self.scene.add(
            "wall2",
            prism(rectangle(foot, (1, 0), girth, girth), stem + 1.5, 0.7, 2),
            (0.42, 0.36, 0.3),
        )
        name = f"crown{rng.integers(4)}"
        crown = crossed(foot + [0, 0, stem], height - stem, width, rng.uniform(0, np.pi), 3)
        middle = foot + [0, 0, stem + 0.45 * (height - stem)]
        flat = rectangle(middle, (np.cos(s), np.sin(s)), width, width)
        self.scene.add(name, join(crown, quad(*flat)), tint, shade=False)
        if self._contrast > 0.15 and rng.random() < 0.8:
            shift = -self._sun[:2] / max(self._sun[2], 0.3) * height * 0.6
            frame = lane.road.frame(np.array(float(s)))
            if lane is self.street.lanes[0]:
                at, off = s + shift @ frame[:2, 0], lateral + shift @ frame[:2, 1]
                self.street.shadow(
                    "shadow1", (at - width / 2, at + width / 2), (off - width / 2, off + width / 2)
                )

    def _lots(self, lane, side, s0, s1, edge, widths, gaps, depth):
        """Rectangles (4, 3) for buildings: first side towards the street; with their stations."""
        s = s0 + self.rng.uniform(0, 3)
        while s < s1 - 4:
            width = self.rng.uniform(*widths)
            a, b = lane.road.at(np.array([s, s + width]), side * edge, -1.0)
            out = np.cross(b - a, [0, 0, 1.0]) * -side
            out *= depth / (np.linalg.norm(out) + 1e-9)
            base = np.stack([a, b, b + out, a + out])
            base[:, 2] = base[:, 2].min()
            if side < 0:  # counter-clockwise seen from above
                base = base[[1, 0, 3, 2]]
            grid = np.linspace(0, 1, 5)
            foot = a + grid[:, None, None] * (b - a) + grid[None, :, None] * out
            if self.street.free(foot, min(0.8, 0.3 + lane.pavement)).all():
                yield base, (s, s + width)
            s += width + self.rng.uniform(*gaps)

    def _building(self, base, storeys, facade, ground, roof, lane, span, side, edge):
        rng = self.rng
        base = base.copy()
        floor, height = rng.uniform(2.7, 3.4), 1.0
        tint = rng.uniform(0.62, 1.0) * rng.uniform(0.85, 1.0, 3)
        if ground:
            self.scene.add(ground, prism(base, 1.0 + 3.6, 8, 4.6), tint)
            base[:, 2] += 4.6
            height = 4.6
        self.scene.add(facade, prism(base, storeys * floor, rng.uniform(3.5, 7), floor), tint)
        total = storeys * floor
        if roof:
            slopes, ends = gable(base, total, rng.uniform(1.5, 4), 4)
            self.scene.add(f"tiles{rng.integers(2)}", slopes, rng.uniform(0.45, 1, 3))
            self.scene.add("plain1", ends, tint)
        else:
            self.scene.add("plain0", lid(base, total, 4), (0.6, 0.6, 0.6))
        if lane is self.street.lanes[0] and self._contrast > 0.15:
            left = lane.road.frame(np.array(span[0]))
            reach = -(self._sun[:2] @ left[:2, 1]) / max(self._sun[2], 0.25) * (total + height)
            slant = np.clip(
                (self._sun[:2] @ left[:2, 0]) / (self._sun[:2] @ left[:2, 1] + 1e-6), -3, 3
            )
            if reach * side < -2:
                ends = sorted((side * edge, side * edge + reach))
                self.street.shadow("shadow2", span, tuple(ends), slant)

    def _facades(self, lane, side, s0, s1, edge):
        rng = self.rng
        gap = (0, 0.01) if rng.random() < 0.7 else (0, 6)
        for base, span in self._lots(lane, side, s0, s1, edge, (8, 20), gap, rng.uniform(8, 12)):
            ground = f"shop{rng.integers(4)}" if rng.random() < 0.55 else None
            self._building(base, rng.integers(*self.style.storeys) + 1, f"facade{rng.choice(self._facade_kinds)}", ground,
                           rng.random() < 0.5, lane, span, side, edge)  # fmt: skip

    def _houses(self, lane, side, s0, s1, edge):
        rng = self.rng
        for base, span in self._lots(
            lane, side, s0, s1, edge, (7, 14), (1.5, 12), rng.uniform(7, 10)
        ):
            self._building(base, rng.integers(1, 4), f"facade{rng.choice(self._facade_kinds)}", None, rng.random() < 0.85,
                           lane, span, side, edge)  # fmt: skip
            if rng.random() < 0.5:
                self._tree(lane, span[1] + 1, side * (edge - 0.5))

    def _halls(self, lane, side, s0, s1, edge):
        rng = self.rng
        for base, span in self._lots(
            lane, side, s0, s1, edge, (18, 45), (3, 20), rng.uniform(15, 30)
        ):
            self._building(base, rng.integers(2, 4), f"wall{rng.integers(3)}" if rng.random() < 0.6 else "facade0",
                           None, False, lane, span, side, edge)  # fmt: skip

    def _kerbside(self, index, lane, side):
        """Parked cars, street trees, lamps, signs, people who stand."""
        rng, style = self.rng, self.style
        edge = lane.left if side > 0 else -lane.right
        length = lane.road.length
        busy = rng.random() < 0.75
        lot = rng.uniform(0, 1, 2)
        for s in np.arange(4, length - 4, 6.2):
            if busy and rng.random() < style.parked / 16 * (0.5 + lot[0]):
                self._park(lane, index, s + rng.normal(0, 0.3), side, edge)
        for kind, rate in (
            ("tree", style.trees * lot[1]),
            ("pole", style.poles),
            ("person", style.people),
        ):
            for s in rng.uniform(0, length, rng.poisson(rate * length / 100)):
                if kind == "tree":
                    self._tree(
                        lane, s, side * (edge + max(lane.pavement - 0.4, 1.0) + rng.uniform(0, 0.5))
                    )
                elif kind == "pole":
                    self._pole(lane, s, side, edge)
                else:
                    foot = lane.road.at(s, side * (edge + rng.uniform(0.3, 2)), KERB_M)
                    if self.street.free(foot[None], 0.2)[0]:
                        pose = np.eye(4)
                        pose[:3, 3] = foot
                        self.scene.add_placed(vehicles.walker(rng), pose)

    def _park(self, lane, index, s, side, edge):
        rng = self.rng
        lateral = (
            edge - 1.0 if edge > 4.2 else edge + 0.75
        )  # half on the pavement in narrow streets
        frame = lane.road.frame(np.array(s), side * lateral)
        if (
            abs(lane.road.curvature[int(s)]) > 0.04
            or not self.street.free(frame[None, :3, 3], 2.5, skip=index)[0]
        ):
            return
        parts, _ = vehicles.car(rng, rng.choice(["car", "car", "car", "car", "van"]))
        turn = rng.normal(0, 0.03) + (np.pi if side > 0 and rng.random() < 0.8 else 0)
        spin = np.array(
            [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
        )
        frame[:3, :3] = frame[:3, :3] @ spin
        self.scene.add_placed(parts, frame)

    def _pole(self, lane, s, side, edge):
        rng = self.rng
        foot = lane.road.at(s, side * (edge + rng.uniform(0.4, 1.5)), -0.1)
        if not self.street.free(foot[None], 0.3)[0]:
            return
        height, girth = rng.uniform(2.2, 9), rng.uniform(0.07, 0.25)
        tint = np.full(3, rng.uniform(0.25, 0.9))
        self.scene.add("plain1", prism(rectangle(foot, (1, 0), girth, girth), height, 1, 1), tint)
        frame = lane.road.frame(np.array(float(s)))
        across = frame[:3, 1] * -side
        if height < 3.6:
            top = foot + [0, 0, height - 0.3]
            size = rng.uniform(0.5, 0.8)
            a, up = across * size / 2, np.array([0, 0, size])
            self.scene.add(
                f"sign{rng.integers(2)}",
                quad(top - a, top + a, top + a + up, top - a + up),
                (1, 1, 1),
            )
        elif rng.random() < 0.6:
            arm, top = across * rng.uniform(1, 3), foot + [0, 0, height]
            self.scene.add(
                "plain1", quad(top, top + arm, top + arm + [0, 0, 0.15], top + [0, 0, 0.15]), tint
            )


def _upright(low, high, along, rise):
    """Quads between two lines (N, 3), the texture upright: along (N,) repeats, rise repeats upwards."""
    corners = np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)
    u = np.stack([along[:-1], along[1:], along[1:], along[:-1]], axis=1)
    v = np.broadcast_to(np.array([0, 0, rise, rise], float), u.shape)
    return corners, np.stack([u, v], axis=-1)


def add_sky(scene: Scene, rng: np.random.Generator) -> None:
    """Dome and skyline, infinitely far."""
    angle = np.linspace(0, 2 * np.pi, 33)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) * 1000
    tint = rng.uniform(0.75, 1.0) * np.array([1, 1, 1])
    u = np.linspace(0, 4, 33)
    scene.add_backdrop(
        f"sky{rng.integers(2)}", _upright(ring, ring * [0.8, 0.8, 1] + [0, 0, 900], u, 1), tint
    )
    scene.add_backdrop(
        "plain0", _upright(ring + [0, 0, -60], ring, u, 1), 0.7 * tint * rng.uniform(0.6, 1, 3)
    )
    if rng.random() < 0.7:
        high = rng.uniform(20, 90)
        haze = rng.uniform(0.5, 1.2) * np.ones(3)
        scene.add_backdrop(
            f"horizon{rng.integers(2)}", _upright(ring - [0, 0, 8], ring + [0, 0, high], u, 1), haze
        )
