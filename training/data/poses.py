"""Poses at the moments of images: interpolated, and never over a gap.

Stamps are int nanoseconds, poses (N, 4, 4).
"""

import numpy as np

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.trajectory import Trajectory

LARGEST_GAP_NS = 200_000_000  # between poses; over a larger one the motion is not known well enough


def interpolate(poses: Trajectory, stamps_ns: np.ndarray) -> np.ndarray:
    """Poses (N, 4, 4) at stamps (N,); NaN where there are no poses on both sides, close to each other.

    Between two poses the body moves at the constant twist that leads from one to the other; at the stamp
    of a pose it is there to the last bit. `poses` must ascend in time.
    """
    after = np.clip(np.searchsorted(poses.stamps_ns, stamps_ns), 1, max(1, len(poses) - 1))
    before = after - 1
    out = np.full((len(stamps_ns), 4, 4), np.nan)
    if len(poses) < 2:
        return out
    t0, t1 = poses.stamps_ns[before], poses.stamps_ns[after]
    there = (t0 <= stamps_ns) & (stamps_ns <= t1)
    there &= (t1 - t0 <= LARGEST_GAP_NS) | (stamps_ns == t0) | (stamps_ns == t1)
    t0, t1 = t0[there], t1[there]
    start = poses.poses[before[there]]
    step = geometry.log(geometry.inverse(start) @ poses.poses[after[there]])
    share = (stamps_ns[there] - t0) / (t1 - t0)
    out[there] = start @ geometry.exp(share[:, None] * step)
    own = there & (stamps_ns == poses.stamps_ns[after])
    out[own] = poses.poses[after[own]]
    return out


def ascending(poses: Trajectory, where: str) -> Trajectory:
    """The trajectory without what was said twice. Raises InputError where time goes backwards."""
    refuse_backwards(poses.stamps_ns, where)
    kept = np.diff(poses.stamps_ns, prepend=poses.stamps_ns[0] - 1) > 0
    return Trajectory(poses.stamps_ns[kept], poses.positions[kept], poses.quaternions[kept])


def refuse_backwards(stamps_ns: np.ndarray, where: str) -> None:
    steps = np.diff(stamps_ns)
    if (steps < 0).any():
        at = int(np.argmax(steps < 0))
        raise InputError(f"{where}: time goes backwards by {-steps[at] / 1e9:.3f} s after "
                         f"{stamps_ns[at] / 1e9:.3f} s; cut it there or record it again.")


def number(stamps_ns: np.ndarray) -> np.ndarray:
    """Frame numbers (N,) from stamps: the usual step in time is one, where frames are missing it is more.

    Frames with the same stamp get the same number.
    """
    steps = np.diff(stamps_ns)
    counted = np.where(steps > 0, np.maximum(1, np.round(steps / (1e9 * period_s(stamps_ns)))), 0)
    return np.concatenate([[0], np.cumsum(counted)]).astype(np.int64)


def period_s(stamps_ns: np.ndarray) -> float:
    """The usual step from one stamp (N,) to the next."""
    steps = np.diff(stamps_ns)
    return float(np.median(steps[steps > 0])) / 1e9 if (steps > 0).any() else 1.0
