"""How the uncertainty of a pose grows when the errors of one motion are like those of the last.

A student that takes its camera for a little lower, or for turned a little to one side, errs the same way
for a whole drive, and in a bend it errs one way for a second. Were each error new, they would average out;
they do not, and the pose is less certain by far than its motions are. So the error of a motion is a sum of
independent first-order Gauss-Markov processes, each as large as the student's sigma says times a variance
of its own, and each forgotten over so many motions; their present values are carried along beside the error
of the pose.
Source: state augmentation by shaping filters, as in Bar-Shalom, Li, Kirubarajan, "Estimation with
Applications to Tracking and Navigation", Wiley 2001, chapter 8.
"""

from dataclasses import dataclass

import numpy as np

from distill_vo import geometry
from distill_vo.errors import InputError

# Of a pose that was only just defined to be the origin, and of what a planar robot does not do: small, but a
# covariance must be positive definite to be used.
LEAST_COVARIANCE = np.diag([1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4]) ** 2


@dataclass(frozen=True)
class ErrorModel:
    """Processes that add up to the errors of a student, in units of its sigma; the motion's six axes.

    lengths: motions over which each process is forgotten (to 1/e); 0: new with each motion. By default no
    error has to do with another, and sigma is all of it.
    """

    lengths: tuple[float, ...] = (0.0,)
    variances: tuple[tuple[float, ...], ...] = ((1.0,) * 6,)

    def __post_init__(self):
        table = [len(row) for row in self.variances]
        if table != [6] * len(self.lengths) or not np.all(self.total > 0) or not np.all(
                np.isfinite(self.variances)) or min(self.lengths) < 0 or np.min(self.variances) < 0:
            raise InputError(f"error model: lengths {self.lengths} and variances {self.variances} are no "
                             "processes of six axes with positive sums; calibrate the student anew.")

    @property
    def total(self) -> np.ndarray:
        """(6,) variance of one motion's error, in units of sigma squared."""
        return np.sum(self.variances, axis=0)


class ErrorState:
    """Covariances (6 + 6 P, 6 + 6 P) of the error of a pose and of the P processes that last.

    The pose's error is in the tangent space at its right (m, rad, base axes).
    """

    def __init__(self, model: ErrorModel):
        lengths, variances = np.array(model.lengths), np.array(model.variances)
        lasting = lengths > 0
        kept = np.repeat(np.exp(-1 / lengths[lasting]), 6)
        self._new = np.diag(variances[~lasting].sum(axis=0))
        self._lasting = variances[lasting].ravel()
        self._lasting_new = np.diag((1 - kept**2) * self._lasting)
        self._kept = np.diag(np.r_[np.zeros(6), kept])

    def start(self, covariance: np.ndarray) -> np.ndarray:
        """At a pose with this covariance (6, 6)."""
        state = np.diag(np.r_[np.zeros(6), self._lasting])
        state[:6, :6] = covariance
        return state

    def moved(self, state: np.ndarray, motion: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """After pose @ motion (4, 4), measured with errors sigma (6, 6) @ (sum of the processes)."""
        F = self._kept.copy()
        F[:6, :6] = geometry.adjoint(geometry.inverse(motion))
        F.reshape(len(F), -1, 6)[:6, 1:] = sigma[:, None]
        out = F @ state @ F.T
        out[:6, :6] += sigma @ self._new @ sigma.T
        out[6:, 6:] += self._lasting_new
        return (out + out.T) / 2

    def carried(self, state: np.ndarray, motion: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """After pose @ motion (4, 4) that was not measured and has a covariance (6, 6) of its own."""
        F = np.eye(len(state))
        F[:6, :6] = geometry.adjoint(geometry.inverse(motion))
        out = F @ state @ F.T
        out[:6, :6] += covariance
        return (out + out.T) / 2
