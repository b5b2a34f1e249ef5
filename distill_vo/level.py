"""How the view is pitched against the way the camera goes, learned while it drives.

A student knows the scale by the road, and the road by where it lies in the view: half a degree of pitch makes
it seem a tenth longer or shorter, and no mounting is known to that. But the way the camera goes must lie in
the view where it lay while the student learned. Where it lies higher the camera looks further down, so the
view is turned up until it does not: by much after the first metres, then little by little.
"""

import numpy as np

STEP_M = 1.5  # after which the way is compared
# Of what is missing all is corrected at first, then what would give the mean of all comparisons and half as
# much again, for students learned on level views and say two thirds of it. In the end it is GAIN each time: a
# slope's beginning and end are averaged out.
EAGER, GAIN = 1.5, 0.05
LEAST_RAD = np.radians(0.1)  # a smaller turn of the view is not worth the while
LARGEST_RAD = np.radians(3.0)  # beyond it the camera was not meant to look ahead
STRAIGHT = 0.95  # share of the way that leads forward
UNLEVELLED = 0.1  # share of the way, one sigma: half a degree of pitch


class Level:
    """pitch: by how much the view is to look further down than the camera does, rad.

    looks_down: what the student says of how far the camera that it learned with looked down, rad; None: the
    pitch does not matter to it, and the view stays as it is.
    """

    def __init__(self, looks_down: float | None):
        self.pitch = 0.0
        self._looks_down, self._way, self._compared = looks_down, np.zeros(3), 0

    @property
    def scale_sigma(self) -> float:
        """Share of a way, one sigma, by which it may be off because the view is not level yet."""
        return 0.0 if self._looks_down is None else UNLEVELLED * self._gain

    @property
    def _gain(self) -> float:
        return max(GAIN, EAGER / (self._compared + EAGER))

    def drove(self, translation: np.ndarray) -> None:
        """Take in a translation (3,) in the view's optical axes, metres."""
        self._way += translation
        length = np.linalg.norm(self._way)
        if self._looks_down is None or length < STEP_M:
            return
        missing = missing_pitch(self._way, self._looks_down)
        if missing is not None:
            self.pitch = float(np.clip(self.pitch + self._gain * missing, -LARGEST_RAD, LARGEST_RAD))
            self._compared += 1
        self._way[:] = 0.0


def missing_pitch(way: np.ndarray, looks_down: float) -> float | None:
    """By how much (rad) a camera is to look further down to look down by `looks_down`.

    way (3,) is where it went, in its optical axes; None where that does not lead ahead.
    """
    if way[2] <= STRAIGHT * np.linalg.norm(way):
        return None
    return float(looks_down + np.arctan2(way[1], way[2]))
