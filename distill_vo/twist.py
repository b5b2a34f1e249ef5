"""How fast a robot moves: the motion since a pose that was measured a moment ago, by the time since then; and
how far from that, a mean, it may move by now."""

import math
from dataclasses import dataclass, replace

import numpy as np

from distill_vo import geometry

# Over a shorter time the errors of two poses would be larger than the motion between them. It lay between the
# images that students learned from.
TWIST_S = 0.09
LAG_S = 1.0  # over which it is seen how much twists change


@dataclass(frozen=True, eq=False)
class _Mark:
    stamp_ns: int
    pose: np.ndarray  # (4, 4)
    covariance: np.ndarray  # (6, 6) of its motion from the keyframe, or to it, in the tangent space here
    twist: np.ndarray | None  # (6,) m/s and rad/s by which it was reached; None: not known


class Marks:
    """Poses (4, 4) of late, in the order of their stamps.

    Each is known as a motion from the keyframe, or to it, with a covariance (6, 6) in the tangent space at
    its right (m^2, rad^2); so is what comes next, and between two of them lie both motions.
    """

    def __init__(self, stamp_ns: int, pose: np.ndarray):
        self._marks = [_Mark(stamp_ns, pose, np.zeros((6, 6)), None)]

    @property
    def newest_ns(self) -> int:
        return self._marks[-1].stamp_ns

    def add(self, stamp_ns: int, pose: np.ndarray, covariance: np.ndarray, twist: np.ndarray) -> None:
        self._marks.append(_Mark(stamp_ns, pose, covariance, twist))

    def begin_at(self, stamp_ns: int, pose: np.ndarray, covariance: np.ndarray, twist: np.ndarray) -> None:
        """Like `add`, and the pose is the next keyframe."""
        self._marks = [replace(mark, covariance=geometry.propagate(
            covariance, geometry.inverse(pose) @ mark.pose, mark.covariance)) for mark in self._marks]
        self.add(stamp_ns, pose, np.zeros((6, 6)), twist)

    def twist(self, stamp_ns: int, pose: np.ndarray) -> np.ndarray:
        """(6,) m/s and rad/s of a pose that was reached then: over TWIST_S, or since the first mark."""
        mark = self._before(stamp_ns)
        return geometry.log(geometry.inverse(mark.pose) @ pose) / ((stamp_ns - mark.stamp_ns) * 1e-9)

    def twist_covariance(self, stamp_ns: int, pose: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """(6, 6) of what `twist` gives, for a pose with this covariance of its motion from the keyframe."""
        mark = self._before(stamp_ns)
        of_step = geometry.propagate(mark.covariance, geometry.inverse(mark.pose) @ pose, covariance)
        return of_step / ((stamp_ns - mark.stamp_ns) * 1e-9)**2

    def measured(self, stamp_ns: int, pose: np.ndarray, covariance: np.ndarray,
                 lag: "Lag") -> tuple[np.ndarray, np.ndarray]:
        """`twist` (6,), and the covariance (6, 6) of what it says of the robot at that stamp."""
        twist, before = self.twist(stamp_ns, pose), self._before(stamp_ns).twist
        of_mean = self.twist_covariance(stamp_ns, pose, covariance)
        if before is not None:
            lag.add(twist - before, of_mean.diagonal(), (stamp_ns - self.newest_ns) * 1e-9)
        return twist, of_mean + np.diag(lag.variance)

    def _before(self, stamp_ns: int) -> _Mark:
        """The newest mark of TWIST_S ago, or else the first; older ones are forgotten."""
        while len(self._marks) > 1 and stamp_ns - self._marks[1].stamp_ns >= TWIST_S * 1e9:
            self._marks.pop(0)
        return self._marks[0]


class Lag:
    """How far the twist at an image may be from the mean over the moment before it.

    variance (6,): a quarter of the mean square by which twists of late differed from those of the moment
    before, less what errors make of it; a change goes on for half of itself from a mean to its end.
    """

    def __init__(self, acceleration: np.ndarray):
        """acceleration (6,): one sigma, m/s^2 and rad/s^2, before any change was seen."""
        self.variance = (acceleration * TWIST_S / 2)**2

    def add(self, change: np.ndarray, error_variance: np.ndarray, elapsed_s: float) -> None:
        """A change (6,) between two twists with errors of this variance (6,), so long after the last one."""
        share = 1 - math.exp(-elapsed_s / LAG_S)
        more = (change**2 - 2 * error_variance) / 4 - self.variance
        self.variance = np.maximum(self.variance + share * more, 0)
