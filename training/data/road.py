"""The line a vehicle follows and the surface under it.

A Road is a frame every metre: position on the surface, unit vectors forward, left and up. World axes: x
east, y north, z up. Lateral offsets are positive to the left, curvature is positive in left bends.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

STEP_M = 1.0
MOST_TURNED = np.radians(120)  # from where a road began: it would come back, and lie in its own ground


@dataclass(frozen=True)
class Road:
    """position (N, 3), left (N, 3) unit: frames at stations 0, 1, 2 ... metres."""

    position: np.ndarray
    left: np.ndarray

    @cached_property
    def forward(self) -> np.ndarray:
        tangent = np.gradient(self.position, axis=0)
        return tangent / np.linalg.norm(tangent, axis=1, keepdims=True)

    @cached_property
    def up(self) -> np.ndarray:
        up = np.cross(self.forward, self.left)
        return up / np.linalg.norm(up, axis=1, keepdims=True)

    @cached_property
    def curvature(self) -> np.ndarray:
        """(N,) 1/m, of the road seen from above."""
        heading = np.unwrap(np.arctan2(self.forward[:, 1], self.forward[:, 0]))
        return smooth(np.gradient(heading) / STEP_M, 4)

    @property
    def length(self) -> float:
        return (len(self.position) - 1) * STEP_M

    @cached_property
    def _frames(self) -> np.ndarray:
        """(N, 13) position, forward, left, up, curvature."""
        return np.hstack([self.position, self.forward, self.left, self.up, self.curvature[:, None]])

    def _at(self, s) -> tuple[np.ndarray, ...]:
        """Position, forward, left, up (..., 3) and curvature (...) at stations s."""
        frame = between(self._frames, s)
        return frame[..., :3], frame[..., 3:6], frame[..., 6:9], frame[..., 9:12], frame[..., 12]

    def at(self, s, lateral=0.0, height=0.0) -> np.ndarray:
        """Points (..., 3) at stations s, lateral offsets and heights above the surface.

        An offset never reaches beyond the centre of a bend, where it would fold over.
        """
        position, _, left, up, bend = self._at(s)
        limit = 0.85 / np.maximum(np.abs(bend), 1e-6)
        lateral = np.where(bend > 0, np.minimum(lateral, limit), np.maximum(lateral, -limit))
        return position + left * lateral[..., None] + up * np.asarray(height)[..., None]

    def frame(self, s, lateral=0.0) -> np.ndarray:
        """world_T_road (..., 4, 4) at stations s: x forward, y left, z up."""
        _, forward, left, _, _ = self._at(s)
        forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
        up = np.cross(forward, left)
        up /= np.linalg.norm(up, axis=-1, keepdims=True)
        pose = np.zeros((*np.shape(s), 4, 4))
        pose[..., :3, :3] = np.stack([forward, np.cross(up, forward), up], axis=-1)
        pose[..., :3, 3], pose[..., 3, 3] = self.at(s, lateral), 1.0
        return pose


def between(values: np.ndarray, s) -> np.ndarray:
    """Linear interpolation of values (N, C), one every STEP_M, at stations s (...): (..., C)."""
    x = np.minimum(np.maximum(np.asarray(s, float) / STEP_M, 0), len(values) - 1.001)
    i = x.astype(int)
    w = (x - i)[..., None]
    return (1 - w) * values[i] + w * values[i + 1]


def smooth(values: np.ndarray, width: float) -> np.ndarray:
    """Hann-weighted moving mean of `width` samples along axis 0; the ends are held."""
    n = max(int(round(width)), 1)
    window = np.hanning(n + 2)[1:-1]
    window /= window.sum()
    padded = np.concatenate([np.repeat(values[:1], n, 0), values, np.repeat(values[-1:], n, 0)])
    columns = [
        np.convolve(c, window, "same")[n : n + len(values)]
        for c in padded.reshape(len(padded), -1).T
    ]
    return np.stack(columns, axis=1).reshape(values.shape)


def straight(start: np.ndarray, direction: np.ndarray, left: np.ndarray, length: float) -> Road:
    """A side road from `start` (3,) along `direction` (3,)."""
    s = np.arange(0.0, length + STEP_M, STEP_M)[:, None]
    return Road(start + s * direction, np.repeat(left[None], len(s), axis=0))


@dataclass(frozen=True)
class Plan:
    """How a kind of road winds: what `plan_road` draws from.

    straight_m: range of a stretch's length; turn: probability that a junction turn follows it,
    curve: that a bend with radius in radius_m by an angle in bend_deg follows, which begins and ends within
    ease_m; slope: largest grade; camber: largest crossfall, rad; bank: the same, of bends inwards.
    """

    straight_m: tuple[float, float]
    turn: float
    curve: float
    radius_m: tuple[float, float]
    slope: float
    camber: float = 0.03
    roundabout: float = 0.0
    bend_deg: tuple[float, float] = (8, 75)
    ease_m: float = 5
    bank: float = 0.0


def _pieces(plan: Plan, length: float, rng: np.random.Generator):
    """(length, curvature) of stretch after stretch."""
    total = heading = 0.0
    while total < length:
        pieces = [(rng.uniform(*plan.straight_m), rng.normal(0, 0.0006))]
        kind, sign = rng.random(), rng.choice([-1.0, 1.0])
        if kind < plan.turn:
            radius = rng.uniform(7, 15)
            pieces.append((np.radians(rng.uniform(75, 105)) * radius, sign / radius))
        elif kind < plan.turn + plan.roundabout:
            radius, angle = rng.uniform(11, 18), np.radians(rng.choice([90, 180, 250]))
            ease = (
                0.6 * radius
            )  # in with a right bend, round to the left, out with another right bend
            pieces += [(ease, -1 / 14), (angle * 0.75 * radius, 1 / radius), (ease, -1 / 14)]
        elif kind < plan.turn + plan.roundabout + plan.curve:
            radius = np.exp(rng.uniform(*np.log(plan.radius_m)))
            angle = min(np.radians(rng.uniform(*plan.bend_deg)), 160 / radius)
            pieces.append((angle * radius, sign / radius))
            if rng.random() < 0.4:  # an S
                pieces.append((angle * radius, -sign / radius))
        turned = sum(metres * curvature for metres, curvature in pieces)
        if abs(heading + turned) > MOST_TURNED:
            pieces, turned = [(metres, -curvature) for metres, curvature in pieces], -turned
        heading += turned
        for piece in pieces:
            total += piece[0]
            yield piece


def plan_road(plan: Plan, length: float, rng: np.random.Generator) -> Road:
    """A road of at least `length` metres, starting at the origin, heading north."""
    curvature = np.concatenate(
        [np.full(max(int(m / STEP_M), 1), k) for m, k in _pieces(plan, length, rng)]
    )
    n = len(curvature)
    fast = plan.straight_m[0] >= 100
    curvature = smooth(curvature, plan.ease_m)
    curvature += smooth(
        rng.normal(0, 0.002 if fast else 0.006, n), 25
    )  # nobody steers dead straight
    heading = np.pi / 2 + np.cumsum(curvature) * STEP_M
    tight = smooth((np.abs(curvature) > 1 / 25).astype(float), 30)
    grade = _wander(n, 90, rng) * plan.slope * rng.uniform(0.1, 1) * (1 - 0.8 * tight)
    bumps = _wander(n, 14, rng) * 0.006 * rng.random()
    camber = _wander(n, 60, rng) * plan.camber * rng.uniform(0.2, 1)
    camber += np.clip(4 * curvature, -plan.bank, plan.bank)  # the left side lies lower in a left bend
    position = np.cumsum(
        np.stack([np.cos(heading), np.sin(heading), np.clip(grade + bumps, -0.11, 0.11)], 1), axis=0
    )
    left = np.stack([-np.sin(heading), np.cos(heading), -camber], axis=1)
    return Road(position * STEP_M, left / np.linalg.norm(left, axis=1, keepdims=True))


def _wander(n: int, width: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (n,) in -1..1 that changes within about `width` metres."""
    noise = smooth(rng.normal(0, 1, n), 2 * width)
    return noise / max(np.abs(noise).max(), 1e-9)
