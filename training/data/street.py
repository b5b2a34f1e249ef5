"""The carriageway and the ground it lies in: asphalt, kerbs, pavements, verges, paint, side roads.

A Street lays main road and side roads into a Scene and afterwards answers what ground is free to build on.
"""

from dataclasses import dataclass

import numpy as np

from training.data.meshes import Scene, ribbon
from training.data.road import Road, straight
from training.data.styles import Style

KERB_M = 0.11
MEDIAN_M = 2.5
BLOCK_M = 8  # the asphalt texture's length; each block picks one anew


@dataclass(frozen=True)
class Lane:
    """A road with its edges: lateral offsets of the left (> 0) and right (< 0) edge, pavement's width."""

    road: Road
    left: float
    right: float
    pavement: float

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2


class Street:
    """Lays out everything that is flat."""

    def __init__(self, scene: Scene, road: Road, style: Style, rng: np.random.Generator):
        self.scene, self.rng, self.style = scene, rng, style
        pavement = rng.uniform(*style.pavement) if style.pavement else 0.0
        main = Lane(road, rng.uniform(*style.left), -rng.uniform(*style.right), pavement)
        self.lanes = [main, *self._side_roads(main)]
        if style.lanes:  # the other carriageway, beyond a median
            self.lanes.append(
                Lane(road, main.left + MEDIAN_M + rng.uniform(7, 11), main.left + MEDIAN_M, 0.0)
            )
        self._centres = [
            lane.road.at(np.arange(len(lane.road.position)), lane.middle)[:, :2] for lane in self.lanes
        ]
        self._tints = (
            0.5 * rng.uniform(0.75, 1.45),
            rng.uniform(0.6, 1.0),
            rng.uniform(0.45, 1, (3, 1)),
        )
        self._verge = f"grass{rng.integers(3)}"
        self._asphalts = rng.permutation(4)[:2]
        for i, lane in enumerate(self.lanes):
            self._surface(lane, i)

    def free(self, points: np.ndarray, margin: float, skip: int = -1) -> np.ndarray:
        """(...) bool: are points (..., 3) at least `margin` away from every carriageway (but `skip`)?"""
        good = np.ones(points.shape[:-1], bool)
        for i in range(len(self.lanes)):
            if i != skip:
                good &= self._beside(i, points, margin)
        return good

    def _beside(self, index: int, points: np.ndarray, margin: float) -> np.ndarray:
        """(...) bool: are points (..., 3) at least `margin` away from one carriageway?"""
        lane, centres = self.lanes[index], self._centres[index]
        flat = points.reshape(-1, points.shape[-1])[:, :2]
        squared = (flat**2).sum(1)[:, None] + (centres**2).sum(1) - 2 * flat @ centres.T
        reach = (lane.left - lane.right) / 2 + margin
        return (squared.min(1) > reach**2).reshape(points.shape[:-1])

    def _side_roads(self, main: Lane) -> list[Lane]:
        """Where the car turns, the streets it leaves; elsewhere, crossings it passes."""
        road, rng = main.road, self.rng
        lanes, taken = [], []
        for a, b in _tight_turns(road):
            kind = rng.random()
            if kind < 0.75:  # straight on
                lanes.append(self._branch(main, a, 0.0))
            if kind > 0.35:  # out of the other arm
                lanes.append(self._branch(main, b, np.pi))
            taken.append((a - 25, b + 25))
        for s in np.arange(20, road.length - 20, 1.0):
            crowded = any(a < s < b for a, b in taken)
            if crowded or abs(road.curvature[int(s)]) > 0.02 or rng.random() > self.style.side_roads / 100:
                continue
            taken.append((s - 30, s + 30))
            angle = np.pi / 2 + rng.normal(0, 0.15)
            both = rng.random()
            lanes += [self._branch(main, s, angle)] * (both < 0.7) + [
                self._branch(main, s, angle - np.pi)
            ] * (both > 0.4)
        return lanes

    def _branch(self, main: Lane, s: float, angle: float) -> Lane:
        frame = main.road.frame(np.array(s))
        forward, left = frame[:3, 0], frame[:3, 1]
        direction = np.cos(angle) * forward + np.sin(angle) * left
        side = np.cos(angle) * left - np.sin(angle) * forward
        width = self.rng.uniform(2.4, 4.2)
        edges = (width, -width)
        if angle == 0:
            edges = main.left, main.right
        elif angle == np.pi:
            edges = -main.right, -main.left
        # Two centimetres lower, so that the main road wins where the first pieces still reach into it.
        start = frame[:3, 3] - 0.02 * frame[:3, 2]
        return Lane(straight(start, direction, side, 75.0), *edges, main.pavement)

    def _surface(self, lane: Lane, index: int) -> None:
        rng, road = self.rng, lane.road
        s = _stations(road)
        if index:  # in small pieces where it leaves the main road
            s = np.concatenate([np.arange(30.0), s[s >= 30]])
        tone, stone, earth = self._tints
        pieces = max(2, round((lane.left - lane.right) / (1.0 if index else 2.5)))
        edges = np.linspace(lane.left, lane.right, pieces + 1)
        for first, last in _blocks(s):
            part = s[first : last + 1]
            texture = f"asphalt{rng.choice(self._asphalts)}"
            lines = [road.at(part, x) for x in edges]
            across = edges / BLOCK_M * rng.choice([-1, 1])
            for i in range(len(edges) - 1):
                quads = ribbon(lines[i], lines[i + 1], (across[i + 1], across[i]), part / BLOCK_M)
                self._lay(texture, quads, np.full(3, tone), range(index))
        others = [i for i in range(len(self.lanes)) if i != index]
        for side, edge in ((1, lane.left), (-1, lane.right)):
            if lane.pavement:
                self._pavement(lane, index, side, edge, s, stone)
            reach = edge + side * np.array([0, 7, 25, 70] if index == 0 else [0, 3])
            lines = [self._ground(road, s, x, x != edge and index == 0) for x in reach]
            for x, y, a, b in zip(reach, reach[1:], lines, lines[1:], strict=False):
                self._lay(self._verge, ribbon(a, b, (y / 4, x / 4), s / 4), earth[:, 0] * 0.8, others)
        if index == 0:
            for end, ahead in ((0, -1), (len(s) - 1, 1)):
                far = road.at(s[end], np.array([70, 0, -70.0]), -0.05)
                off = road.frame(np.array(s[end]))[:3, 0] * ahead * 80
                self.scene.add(
                    self._verge,
                    ribbon(far + off, far, (20, 0), np.array([-20, 0, 20.0])),
                    earth[:, 0] * 0.8,
                )
        self._paint(lane, index)

    def _lay(self, texture: str, quads, tint: np.ndarray, others) -> None:
        """Add quads, but for those wholly on one of other carriageways, which they would hide on a slope."""
        corners, uv = quads
        for i in others:
            beside = self._beside(i, corners, 0.0).any(axis=1)
            corners, uv = corners[beside], uv[beside]
        self.scene.add(texture, (corners, uv), tint)

    def _ground(self, road: Road, s: np.ndarray, lateral: float, sink: bool) -> np.ndarray:
        """A line (N, 3) of the ground; it sinks out of the way of side roads, whose slope differs."""
        line = road.at(s, lateral, -0.05)
        if sink:
            line[~self.free(line, 8.0, skip=0), 2] -= 0.6
        return line

    def _pavement(self, lane: Lane, index: int, side: int, edge: float, s, stone: float) -> None:
        road = lane.road
        inner, outer = edge, edge + side * lane.pavement
        a, b = road.at(s, inner, KERB_M), road.at(s, outer, KERB_M)
        foot = road.at(s, inner, -0.05)
        clear = self.free((a[:-1] + b[1:]) / 2, 0.3, skip=index) & self.free(
            (a + b)[:-1] / 2, 0.3, skip=index
        )
        top = ribbon(a, b, (side * lane.pavement / 2, 0), s / 2)
        face = ribbon(foot, a, (0, 0.1), s)
        for name, (corners, uv), tint in (("paving0", top, stone), ("plain0", face, 0.75)):
            self.scene.add(name, (corners[clear], uv[clear]), np.full(3, tint), shade=name == "paving0")

    def _paint(self, lane: Lane, index: int) -> None:
        """Lane dashes, edge lines, stop lines: in the surface, drawn over it."""
        rng, road = self.rng, lane.road
        if lane.left - lane.right < 5.2 or rng.random() < 0.25:
            return
        dash, gap = (6, 12) if self.style.plan.straight_m[0] >= 100 else rng.choice([[3, 6], [4, 8], [3, 3]])
        lines = [] if rng.random() < 0.25 else [(lane.middle if not self.style.lanes else 1.8, dash, gap)]
        lines += [(x, dash, gap) for x in ((-1.8,) if self.style.lanes and lane.right < -4 else ())]
        if rng.random() < (0.85 if not self.style.pavement else 0.25):
            lines += [(lane.left - 0.3, 1e9, 0), (lane.right + 0.3, 1e9, 0)]
        width, tint = rng.uniform(0.1, 0.22) / 2, np.full(3, rng.uniform(0.55, 1))
        for station in rng.uniform(0, road.length - 5, rng.poisson(road.length * self.style.zebras / 100)):
            self._zebra(lane, station, tint)
        for lateral, dash, gap in lines:
            piece = 1.5 if gap else 3.0
            s = np.arange(0, road.length - piece, piece)
            drawn = s[(s % (dash + gap)) < dash]
            middle = road.at(drawn + 0.5 * piece, lateral)
            drawn = drawn[self.free(middle, 1.0, skip=index)]
            corners = np.stack(
                [road.at(drawn + along, lateral + across) for along, across in
                 ((0, -width), (0, width), (piece, width), (piece, -width))], axis=1,
            )  # fmt: skip
            uv = np.tile(np.array([[0, 0], [0.2, 0], [0.2, 1], [0, 1]]), (len(drawn), 1, 1))
            self.scene.add("paint0", (corners, uv), tint, shade=False)

    def _zebra(self, lane: Lane, station: float, tint: np.ndarray) -> None:
        """A pedestrian crossing, or hatching when it slants."""
        slant = self.rng.choice([0.0, 0.0, self.rng.uniform(-1, 1)])
        pitch, deep = self.rng.uniform(0.8, 1.4), self.rng.uniform(2.5, 4.5)
        x = np.arange(lane.right + 0.4, lane.left - 0.6, pitch)
        s = station + slant * (x - x.mean())
        corners = np.stack([lane.road.at(s + ds, x + dx) for ds, dx in
                            ((0, 0), (0, pitch / 2), (deep, pitch / 2), (deep, 0))], axis=1)  # fmt: skip
        uv = np.tile(np.array([[0, 0], [0.2, 0], [0.2, 1], [0, 1]]), (len(x), 1, 1))
        self.scene.add("paint0", (corners, uv), tint, shade=False)

    def shadow(
        self, texture: str, s: tuple[float, float], lateral: tuple[float, float], skew: float = 0.0
    ) -> None:
        """Darken a patch of the main road; lateral is cut to the carriageway, `skew` slants its ends."""
        lane = self.lanes[0]
        low, high = max(min(lateral), lane.right), min(max(lateral), lane.left)
        if high - low < 0.3:
            return
        steps = np.linspace(*s, max(2, int((s[1] - s[0]) / 2) + 1))
        across = np.linspace(low, high, max(2, int((high - low) / 2.5) + 1))
        u = (across - min(lateral)) / (max(lateral) - min(lateral))
        v = (steps - s[0]) / (s[1] - s[0])
        lines = [lane.road.at(steps + skew * (x - low), x) for x in across]
        for i in range(len(across) - 1):
            self.scene.add(
                texture, ribbon(lines[i + 1], lines[i], (u[i], u[i + 1]), v), (1, 1, 1), shade=False
            )


def _stations(road: Road) -> np.ndarray:
    """Every 2 m in bends, every 4 m on straight stretches."""
    s = np.arange(0, road.length + 0.1, 2.0)
    bent = np.abs(road.curvature[np.minimum(s.astype(int), len(road.curvature) - 1)]) > 1 / 90
    return s[bent | (np.arange(len(s)) % 2 == 0) | (s > s[-1] - 1)]


def _blocks(s: np.ndarray) -> list[tuple[int, int]]:
    """Index ranges of about BLOCK_M each."""
    cuts = np.flatnonzero(np.diff(s // BLOCK_M, prepend=-1))
    return list(zip(cuts, [*cuts[1:], len(s) - 1], strict=True))[: len(cuts) - (cuts[-1] == len(s) - 1)]


def _tight_turns(road: Road) -> list[tuple[float, float]]:
    """Stations (start, end) of turns sharper than 22 m radius by more than 50 degrees."""
    tight = np.concatenate([[0], (np.abs(road.curvature) > 1 / 24).astype(int), [0]])
    starts, ends = np.flatnonzero(np.diff(tight) == 1), np.flatnonzero(np.diff(tight) == -1)
    angle = np.concatenate([[0], np.cumsum(road.curvature)])
    return [(float(a), float(b - 1)) for a, b in zip(starts, ends, strict=True)
            if np.radians(50) < abs(angle[b] - angle[a]) < np.radians(130)]  # fmt: skip
