"""How fast a robot moves: the motion since a pose that was measured a moment ago, by the time since then."""

from dataclasses import dataclass

import numpy as np

from distill_vo import geometry

# Over a shorter time the errors of two poses would be larger than the motion between them. It lay between the
# images that students learned from.
TWIST_S = 0.09


@dataclass(frozen=True, eq=False)
class _Mark:
    stamp_ns: int
    pose: np.ndarray  # (4, 4)
    covariance: np.ndarray  # (6, 6) of its motion from the keyframe, or to it, in the tangent space here


class Marks:
    """Poses (4, 4) of late, in the order of their stamps.

    Each is known as a motion from the keyframe, or to it, with a covariance (6, 6) in the tangent space at
    its right (m^2, rad^2); so is what comes next, and between two of them lie both motions.
    """

    def __init__(self, stamp_ns: int, pose: np.ndarray):
        self._marks = [_Mark(stamp_ns, pose, np.zeros((6, 6)))]

    @property
    def newest_ns(self) -> int:
        return self._marks[-1].stamp_ns

    def add(self, stamp_ns: int, pose: np.ndarray, covariance: np.ndarray) -> None:
        self._marks.append(_Mark(stamp_ns, pose, covariance))

    def begin_at(self, stamp_ns: int, pose: np.ndarray, covariance: np.ndarray) -> None:
        """Like `add`, and the pose is the next keyframe."""
        self._marks = [_Mark(mark.stamp_ns, mark.pose, geometry.propagate(
            covariance, geometry.inverse(pose) @ mark.pose, mark.covariance)) for mark in self._marks]
        self.add(stamp_ns, pose, np.zeros((6, 6)))

    def twist(self, stamp_ns: int, pose: np.ndarray) -> np.ndarray:
        """(6,) m/s and rad/s of a pose that was reached then: over TWIST_S, or since the first mark."""
        mark = self._before(stamp_ns)
        return geometry.log(geometry.inverse(mark.pose) @ pose) / ((stamp_ns - mark.stamp_ns) * 1e-9)

    def twist_covariance(self, stamp_ns: int, pose: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """(6, 6) of what `twist` gives, for a pose with this covariance of its motion from the keyframe."""
        mark = self._before(stamp_ns)
        of_step = geometry.propagate(mark.covariance, geometry.inverse(mark.pose) @ pose, covariance)
        return of_step / ((stamp_ns - mark.stamp_ns) * 1e-9)**2

    def _before(self, stamp_ns: int) -> _Mark:
        """The newest mark of TWIST_S ago, or else the first; older ones are forgotten."""
        while len(self._marks) > 1 and stamp_ns - self._marks[1].stamp_ns >= TWIST_S * 1e9:
            self._marks.pop(0)
        return self._marks[0]
