"""How far the camera comes ahead, given how fast it went: vehicles have inertia.

Single motions are off by several percent in the length of the way, and by half of it where another vehicle
fills the view; but from one image to the next a vehicle's speed changes by a few percent. So way and speed
are followed by a Kalman filter whose acceleration is a first-order Gauss-Markov process. A motion beyond what
inertia allows counts the less the farther it is, as in the tail of Student's t distribution.

A car that speeds up squats, one that brakes dives: its camera then looks a little higher or lower than it is
thought to, the road seems shorter or longer, and so does the way, in step with the acceleration.
Source: Singer, "Estimating Optimal Tracking Filter Performance for Manned Maneuvering Targets", IEEE
Transactions on Aerospace and Electronic Systems, 1970.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

FASTEST, ACCELERATION = 30.0, 2.0  # m/s, m/s^2, one sigma of a vehicle's of which nothing is known
LASTING_S = 1.0  # over which an acceleration is forgotten (to 1/e)
SLOWEST = 0.5  # m/s; above it a motion's sigma is a share of the way
FAR = 2.0  # squared sigma beyond which a motion is believed less than it says
MOST_LONGER = 2.0  # times as long as was said; what was said shorter, or backwards, leads elsewhere too
AHEAD = 2  # the optical axis


@lru_cache(maxsize=16)  # cameras have but few periods
def _process(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """How the state goes on for so long, and the covariance that comes to it, both (3, 3)."""
    T, r = LASTING_S, seconds / LASTING_S
    e = np.exp(-r)
    F = np.array([[1.0, seconds, T**2 * (e - 1 + r)], [0.0, 1.0, T * (1 - e)], [0.0, 0.0, e]])
    way = 1 - e**2 + 2 * r + 2 * r**3 / 3 - 2 * r**2 - 4 * r * e
    way_speed = e**2 + 1 - 2 * e + 2 * r * e - 2 * r + r**2
    way_acceleration, speed_acceleration = 1 - e**2 - 2 * r * e, e**2 + 1 - 2 * e
    Q = np.array([[way, way_speed, way_acceleration],
                  [way_speed, 4 * e - 3 - e**2 + 2 * r, speed_acceleration],
                  [way_acceleration, speed_acceleration, 1 - e**2]])
    units = ACCELERATION * np.array([[T**2], [T], [1.0]])
    return F, Q * (units * units.T)


@dataclass(frozen=True, eq=False)
class Inertia:
    """state: way ahead since the keyframe (m), speed (m/s), acceleration (m/s^2); covariance (3, 3).

    squat: share by which the way is said too short for each m/s^2.
    """

    state: np.ndarray = field(default_factory=lambda: np.zeros(3))
    covariance: np.ndarray = field(default_factory=lambda: np.diag([0.0, FASTEST, ACCELERATION]) ** 2)
    squat: float = 0.0

    def predict(self, seconds: float) -> "Inertia":
        """So much later, when nothing was seen."""
        F, Q = _process(seconds)
        return replace(self, state=F @ self.state, covariance=F @ self.covariance @ F.T + Q)

    def update(self, motion: np.ndarray, sigma: np.ndarray,
               seconds: float) -> tuple[np.ndarray, np.ndarray, "Inertia"]:
        """A motion (6,) since the keyframe, `seconds` ago, and its sigma; optical axes, metres and radians.

        Both with the length of the way in line with inertia, its direction as it was; and what is known then.
        Where it was said far too short or backwards, what leads aside is as uncertain as it is long.
        """
        before, slow = self.predict(seconds), SLOWEST * seconds
        way, seen = motion[AHEAD], 1 - self.squat * before.state[2]  # share of the way
        # Who brakes is expected to come backwards in the end. One that stands meanwhile does not squat.
        H = np.array([seen, 0.0, -self.squat * max(before.state[0], 0.0)])
        spread = before.covariance @ H
        expected, variance = seen * before.state[0], H @ spread
        off = way - expected
        # Sigma is a share of the way. Taken of the measured one, motions said too short would count more.
        likely = expected + off * variance / (variance + sigma[AHEAD] ** 2)
        noise = (sigma[AHEAD] * max(abs(likely), slow) / max(abs(way), slow)) ** 2
        surprise = max(1.0, off**2 / (variance + noise) / FAR)
        noise *= surprise
        gain = spread / (variance + noise)
        keep = np.eye(3) - gain[:, None] * H
        covariance = keep @ before.covariance @ keep.T + noise * gain[:, None] * gain  # Joseph's form
        now = replace(self, state=before.state + gain * off, covariance=covariance)
        motion, sigma = motion.copy(), sigma.copy()
        longer = now.state[0] / way if abs(way) > slow else 1.0
        if not 0.0 <= longer <= MOST_LONGER:
            sigma[:AHEAD] = np.hypot(sigma[:AHEAD], motion[:AHEAD])
        motion[:AHEAD] *= min(max(longer, 0.0), MOST_LONGER)
        # Where it is farther off than both allow, one of them is wrong by more than it says.
        motion[AHEAD], sigma[AHEAD] = now.state[0], np.sqrt(covariance[0, 0] * surprise)
        return motion, sigma, now

    def at_keyframe(self) -> "Inertia":
        """The same speed; the way begins anew."""
        state, covariance = self.state.copy(), self.covariance.copy()
        state[0] = covariance[0] = covariance[:, 0] = 0.0
        return replace(self, state=state, covariance=covariance)
