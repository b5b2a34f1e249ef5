"""How fast the camera goes ahead, given how fast it went: vehicles have inertia.

Single motions are off by several percent in the length of the way, and by half of it where another vehicle
fills the view; but from one image to the next a vehicle's speed changes by a few percent. So the speed is
followed by a Kalman filter whose acceleration is a first-order Gauss-Markov process, and what is far from
what inertia allows counts for as much less as it is farther.
Sources: Singer, "Estimating Optimal Tracking Filter Performance for Manned Maneuvering Targets", IEEE
Transactions on Aerospace and Electronic Systems, 1970; the weights are Student's t distribution's.
"""

from dataclasses import dataclass, field

import numpy as np

FASTEST, ACCELERATION = 30.0, 2.0  # m/s, m/s^2, one sigma of a vehicle's of which nothing is known
LASTING_S = 0.3  # an acceleration is forgotten (to 1/e)
SLOWEST = 0.5  # m/s; sigma is a share of the speed above it
FAR = 4.0  # squared sigma beyond which a motion is believed less than it says
AHEAD = 2  # the optical axis


@dataclass(frozen=True, eq=False)
class Inertia:
    """state: speed ahead (m/s) and acceleration (m/s^2), with their covariance (2, 2)."""

    state: np.ndarray = field(default_factory=lambda: np.zeros(2))
    covariance: np.ndarray = field(default_factory=lambda: np.diag([FASTEST, ACCELERATION]) ** 2)

    def after(self, seconds: float) -> "Inertia":
        """What is known of the speed so much later, when nothing was seen."""
        kept, T = np.exp(-seconds / LASTING_S), LASTING_S
        F = np.array([[1.0, T * (1 - kept)], [0.0, kept]])
        grown = [[T**2 * (2 * seconds / T - 3 + 4 * kept - kept**2), T * (1 - kept) ** 2],
                 [T * (1 - kept) ** 2, 1 - kept**2]]
        return Inertia(F @ self.state, F @ self.covariance @ F.T + ACCELERATION**2 * np.array(grown))

    def agree(self, motion: np.ndarray, sigma: np.ndarray,
              seconds: float) -> tuple[np.ndarray, np.ndarray, "Inertia"]:
        """A motion (6,) within `seconds` and its sigma, optical axes, metres and radians -> both with the way
        ahead in line with the speed before, and the speed from now on."""
        speed, sigma_speed = motion[AHEAD] / seconds, sigma[AHEAD] / seconds
        before = self.after(seconds)
        variance = before.covariance[0, 0]
        off = speed - before.state[0]
        # Sigma is a share of the way. Taken of the measured one, motions said too short would count more.
        likely = before.state[0] + off * variance / (variance + sigma_speed**2)
        noise = (sigma_speed * max(abs(likely), SLOWEST) / max(abs(speed), SLOWEST)) ** 2
        noise *= max(1.0, off**2 / (variance + noise) / FAR)
        gain = before.covariance[:, 0] / (variance + noise)
        now = Inertia(before.state + gain * off, before.covariance - np.outer(gain, before.covariance[0]))
        motion, sigma = motion.copy(), sigma.copy()
        motion[AHEAD], sigma[AHEAD] = now.state[0] * seconds, np.sqrt(now.covariance[0, 0]) * seconds
        return motion, sigma, now
