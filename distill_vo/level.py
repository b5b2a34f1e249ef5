"""How the view is turned against the camera: by its mounting, and by the way it goes.

The mounting tells how far a camera looks down or aside and how it is rolled; the view looks along the base's
x axis and stands upright (`ahead`). The rest is learned while it drives (`Level`).

A student knows the scale by the road, and the road by where it lies in the view: half a degree of pitch makes
it seem a tenth longer or shorter, and no mounting is known to that. But the way the camera goes must lie in
the view where it lay while the student learned. Where it lies higher the camera looks further down, so the
view is turned up until it does not: by much after the first metres, then little by little.

To the side, too: a car goes where its rear axle lets it, and on a straight road the way leads straight into
the view. Where it does not, the camera looks aside, and what is drift would be taken for a turn.
"""

import numpy as np

from distill_vo import geometry

STEP_M = 1.5  # after which the way is compared
# Of what is missing all is corrected at first, then what would give the mean of all comparisons and half as
# much again, for students learned on level views and say two thirds of it. In the end it is GAIN each time: a
# slope's beginning and end are averaged out.
EAGER, GAIN = 1.5, 0.05
# The same to the side, after so many metres of straight road. It is seen less well than it is known that
# cameras look ahead: as if that had been seen four times before.
STRAIGHT_M, KNOWN, GAIN_ASIDE = 5.0, 4, 0.02
BENT = 0.006  # rad/m; roads that bend less are straight
AXLE_M = 1.3  # from the rear axle forward to the camera, of the cars the students learned in
LEAST_RAD = np.radians(0.1)  # a smaller turn of the view is not worth the while
LARGEST_RAD = np.radians(3.0)  # no mounting is told worse
FARTHEST_ASIDE_RAD = np.radians(45.0)  # from straight ahead; beyond it nothing is seen of the way
FORWARD = 0.95  # share of the way that leads forward
UNLEVELLED = 0.1  # share of the way, one sigma: half a degree of pitch


def ahead(base_R_camera: np.ndarray) -> np.ndarray | None:
    """Rotation (3, 3) from a camera's axes to those of one that looks along the base's x axis and is not
    rolled; None where the camera looks elsewhere, or base is no frame of REP 103 (the camera's own)."""
    R = geometry.OPTICAL_AXES.T @ base_R_camera
    return R if R[2, 2] > np.cos(FARTHEST_ASIDE_RAD) else None


class Level:
    """upright (3, 3): from the camera's axes to those that `ahead` gives, or none for one that looks
    elsewhere. turn (2,): by how much the view is to look further down and to the right than those, rad.
    looks_down: what the student says of how far the camera that it learned with looked down, rad; None: where
    the camera looks does not matter to it, and the view stays as it is.
    """

    def __init__(self, looks_down: float | None, base_R_camera: np.ndarray):
        upright = ahead(base_R_camera)
        self.looks_ahead, self.upright = upright is not None, np.eye(3) if upright is None else upright
        # Cameras said to look straight ahead look down by a little more often than not. So while the mounting
        # says no more than looks_down, the view looks as the camera does.
        down = np.arctan2(*self.upright[1:, 2])
        self.turn = np.array([min(max(down, 0.0), looks_down or 0.0), 0.0])
        self._looks_down = looks_down
        self._way, self._compared = np.zeros(3), 0
        self._straight, self._aimed = np.zeros(2), 0  # metres to the right and ahead

    @property
    def scale_sigma(self) -> float:
        """Share of a way, one sigma, by which it may be off because the view is not level yet."""
        return 0.0 if self._looks_down is None else UNLEVELLED * self._gain

    @property
    def _gain(self) -> float:
        return max(GAIN, EAGER / (self._compared + EAGER))

    def drove(self, motion: np.ndarray) -> None:
        """Take in a motion (6,) in the view's optical axes, metres and radians."""
        if self._looks_down is None:
            return
        self._way += motion[:3]
        if self._way @ self._way >= STEP_M**2:
            missing = missing_pitch(self._way, self._looks_down)
            if missing is not None:
                self._turn_by(self._gain * missing, 0.0)
                self._compared += 1
            self._way[:] = 0.0
        self._straight += straight_way(motion)
        aside, way = self._straight
        if way >= STRAIGHT_M:
            self._turn_by(0.0, max(GAIN_ASIDE, 1 / (self._aimed + 1 + KNOWN)) * aside / way)
            self._aimed += 1
            self._straight[:] = 0.0

    def _turn_by(self, down: float, right: float) -> None:
        self.turn = np.clip(self.turn + (down, right), -LARGEST_RAD, LARGEST_RAD)


def missing_pitch(way: np.ndarray, looks_down: float) -> float | None:
    """By how much (rad) a camera is to look further down to look down by `looks_down`.

    way (3,) is where it went, in its optical axes; None where that does not lead ahead.
    """
    if way[2] <= FORWARD * np.linalg.norm(way):
        return None
    return float(looks_down + np.arctan2(way[1], way[2]))


def straight_way(motions: np.ndarray) -> np.ndarray:
    """Motions (..., 6), optical axes -> metres to the right and ahead (..., 2) on straight road, without what
    of the way aside is due to its bend; zero where the road bends or the way does not lead ahead."""
    x, z, yaw = motions[..., 0], motions[..., 2], motions[..., 4]
    squared = (motions[..., :3]**2).sum(axis=-1)
    is_straight = (z > FORWARD * np.sqrt(squared)) & (np.abs(yaw) < BENT * z)
    return np.stack([x - (AXLE_M + z / 2) * yaw, z], axis=-1) * is_straight[..., None]
