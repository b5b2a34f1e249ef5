"""A base that moves in the plane: z, roll and pitch are held at zero."""

import numpy as np

from distill_vo import geometry
from distill_vo.uncertainty import LEAST_COVARIANCE

MOVES = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 1.0])  # the axes in which it does


def flat(pose: np.ndarray) -> np.ndarray:
    """The pose (4, 4) in the plane that is nearest by x, y and yaw."""
    yaw = np.arctan2(pose[1, 0], pose[0, 0])
    return geometry.from_motion(np.array([pose[0, 3], pose[1, 3], 0, 0, 0, yaw]))


def flat_covariance(covariance: np.ndarray) -> np.ndarray:
    """A covariance (6, 6), or one of the ErrorState, with what is held as good as known."""
    rest = len(covariance) - len(MOVES)
    moves = np.r_[MOVES, np.ones(rest)]
    held = np.r_[(1 - MOVES) * LEAST_COVARIANCE.diagonal(), np.zeros(rest)]
    return covariance * np.outer(moves, moves) + np.diag(held)
