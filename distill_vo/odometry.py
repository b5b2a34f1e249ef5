"""Visual odometry: stamped images in, pose, twist and their covariances out. No ROS, no I/O.

Poses are `odom_T_base`, metric, starting at the identity; twists are in base axes. With base_T_camera
left at the identity, base is the camera in optical axes. Covariances are in ROS order (x, y, z,
rotations about x, y, z): the pose's in odom axes, the twist's in base axes.
"""

from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from distill_vo import geometry
from distill_vo.camera import CANONICAL, Camera, looking
from distill_vo.errors import InputError
from distill_vo.frame import CanonicalFrame, CanonicalView
from distill_vo.inertia import ACCELERATION, AHEAD, Inertia
from distill_vo.level import LEAST_RAD, Level
from distill_vo.planar import flat, flat_covariance
from distill_vo.student import MOST_MOTION, Student
from distill_vo.twist import TWIST_S, Lag, Marks
from distill_vo.uncertainty import LEAST_COVARIANCE, ErrorState
from distill_vo.visibility import followed, texture


class Status(str, Enum):
    """How far the newest pose can be relied on."""

    TRACKING = "tracking"
    DEGRADED = "degraded"  # little of the view could be followed, or none for no longer than the longest gap
    LOST = "lost"  # nothing was seen for longer than that; the pose stays where it was carried to


@dataclass(frozen=True, eq=False)
class Estimate:
    """Where the base was when the image was taken, and how it moved."""

    stamp_ns: int
    pose: np.ndarray  # (4, 4) odom_T_base
    pose_covariance: np.ndarray  # (6, 6) m^2, rad^2, odom axes
    twist: np.ndarray  # (6,) m/s and rad/s, base axes, the mean over the moment before the image
    twist_covariance: np.ndarray  # (6, 6) of its errors against the twist at the image
    status: Status
    after_gap: bool = False  # no image of use came for longer than the longest gap


# An image becomes the next keyframe by its mean motion since the last one: enough of it, over the time that
# lay between the images the student learned from or more; or so much that flow will not follow much further.
KEYFRAME_FLOW_PX, KEYFRAME_S, FAST_FLOW_PX = 3.0, TWIST_S, 12.0
# Farthest motion in the view since a keyframe of long ago, and way at the training camera's height.
FARTHEST_FLOW_PX, FARTHEST_M = 24.0, 9.0
MAX_GAP_S = 1.0  # without seeing anything; beyond it the motion is not measured
LEAP_S = 20.0  # cameras seldom pause for longer, and then one image more does not matter
# Shares of the view that the flow explains. On rendered streets it is never less than 0.4.
SEEN_WELL, SEEN_AT_ALL = 0.35, 0.2
# The student's sigma was learned while driving. Where next to nothing moves, next to nothing can be wrong,
# and flow up to NOISE_PX is the sensor's noise.
STILL_FLOW_PX, STILL_SIGMA, NOISE_PX = 0.5, 0.1, 0.2
# A change of the twist is implausible from here on: its square in units of its variance, which allows for
# accelerations so many times harder than the usual ones.
IMPLAUSIBLE, HARDEST = 50.0, 5.0
MOVING = np.array([0.5, 0.1])  # m/s, rad/s; what moves faster does not stop between two images

_UNKNOWN_TWIST_COVARIANCE = np.diag([10.0, 10.0, 10.0, 1.0, 1.0, 1.0]) ** 2  # before any motion
_UNSEEN_ACCELERATION = np.array([ACCELERATION] * 3 + [0.5] * 3)  # m/s^2, rad/s^2, one sigma
# For which an unseen robot's twist gets less certain, and its way at the last twist counts.
_LONGEST_S, _LONGEST_WAIT_S = 20.0, 600.0


@dataclass(frozen=True, eq=False)
class _Keyframe:
    """The image motions are measured from."""

    stamp_ns: int
    frame: CanonicalFrame
    pose: np.ndarray
    errors: np.ndarray  # see ErrorState
    inertia: Inertia


class VisualOdometry:
    """Feed `track` with images in the order of their stamps.

    max_gap_s: for how long the pose is carried on at the last twist while nothing is seen. planar: the base
    moves in the plane, z, roll and pitch held to zero.

    looks_ahead: whether the camera looks along the base's x axis by its mounting, more or less. turn (2,): by
    how much the view looks further down and to the right now than that axis, or else the camera, rad.
    """

    def __init__(self, student: Student, camera: Camera, base_T_camera: np.ndarray | None = None,
                 max_gap_s: float = MAX_GAP_S, planar: bool = False):
        self.student, self.max_gap_s = student, max_gap_s
        self._flat, self._flat_covariance = (flat, flat_covariance) if planar else 2 * (lambda x: x,)
        self._error_state, self._error_variance = ErrorState(student.errors), student.errors.total
        self._base_T_camera = np.eye(4) if base_T_camera is None else geometry.orthonormalise(base_T_camera)
        self._unlearned = Level(student.front_end.looks_down, self._base_T_camera[:3, :3])
        self.looks_ahead, self.turn = self._unlearned.looks_ahead, self._unlearned.turn
        self.calibrate(camera)
        self.reset()

    def calibrate(self, camera: Camera) -> None:
        """Take another calibration of the same camera from the next image on; the canonical view stays."""
        self._turn_view(camera, self.turn)
        self._height_scale = np.array([camera.mount_height_m / CANONICAL.mount_height_m] * 3 + [1.0] * 3)

    def reset(self, pose: np.ndarray | None = None, covariance: np.ndarray | None = None) -> None:
        """Forget what was seen; the next image is at `pose` (4, 4) odom_T_base.

        covariance (6, 6) of that pose in odom axes. Without a pose it is the origin, which has next to none,
        and all is as at first: how the camera is turned is forgotten too, of which a pose says nothing.
        """
        if pose is None:
            self._level = deepcopy(self._unlearned)
            self._level_view(0.0)
        self._origin = self._flat(np.eye(4) if pose is None else np.asarray(pose, float))
        self._origin_covariance = LEAST_COVARIANCE
        if covariance is not None:
            self._origin_covariance = self._flat_covariance(
                geometry.rotate_covariance(covariance, self._origin[:3, :3].T))
        self._last: Estimate | None = None
        self._last_frame, self._flow_px_s = None, 0.0
        self._doubted: tuple[int, np.ndarray] | None = None  # stamp and image

    def track(self, stamp_ns: int, image: np.ndarray) -> Estimate | None:
        """The estimate at this image: (H, W) grey or (H, W, 3) BGR uint8, of the camera's size.

        An image that comes twice or late is dropped (None). So is one whose stamp falls back by more than the
        longest gap, or leaps ahead by more than LEAP_S, for it may be wrong; unless the next goes on from
        there: then both count, and where stamps fell back (a bag that loops) all starts anew at the origin.
        Raises InputError where the image does not fit the calibration.
        """
        doubted, self._doubted = self._doubted, None
        last_ns = stamp_ns if self._last is None else self._last.stamp_ns
        if not -self.max_gap_s <= (stamp_ns - last_ns) * 1e-9 <= LEAP_S:
            if doubted is None or not 0 <= stamp_ns - doubted[0] < abs(stamp_ns - last_ns):
                self.view(image)  # is it of the camera's size?
                self._doubted = stamp_ns, image.copy()
                return None
            if doubted[0] < last_ns:
                self.reset()
            if doubted[0] < stamp_ns:
                after_gap = self._track(*doubted).after_gap
                return replace(self._track(stamp_ns, image), after_gap=after_gap)
        elif self._last is not None and stamp_ns <= last_ns:
            return None
        return self._track(stamp_ns, image)

    def _track(self, stamp_ns: int, image: np.ndarray) -> Estimate:
        frame = self.view(image)
        if self._last is None:
            estimate = self._start(stamp_ns, frame)
        else:
            estimate = self._measure(stamp_ns, frame) or self._carry_on(stamp_ns, frame)
        self._last, self._last_frame = estimate, frame
        if self._keyframe.stamp_ns == stamp_ns and self._level_view(LEAST_RAD):
            self._last_frame = self.view(image)
            self._keyframe = replace(self._keyframe, frame=self._last_frame)
        return estimate

    def _level_view(self, least: float) -> bool:
        """Turn the view to where it is to look where it is off by more than `least` (rad); whether it was."""
        is_off = np.abs(self._level.turn - self.turn).max() > least
        with suppress(InputError):  # too little would be seen
            if is_off:
                self._turn_view(self.view.camera, self._level.turn)
        return is_off

    def _turn_view(self, camera: Camera, turn: np.ndarray) -> None:
        """From the next image on the view looks further down and to the right by turn (2,), rad."""
        rotation = looking(turn) @ self._unlearned.upright
        self.view = CanonicalView(camera, self.student.front_end.whole, rotation)
        self.turn = turn
        self._base_T_view = self._base_T_camera.copy()
        self._base_T_view[:3, :3] @= self.view.rotation.T
        self._view_T_base = geometry.inverse(self._base_T_view)
        self._adjoint = geometry.adjoint(self._base_T_view)

    def _start(self, stamp_ns: int, frame: CanonicalFrame) -> Estimate:
        errors = self._error_state.start(self._origin_covariance)
        self._set_keyframe(stamp_ns, frame, self._origin, errors, Inertia(squat=self.student.squat))
        self._marks, self._lag = Marks(stamp_ns, self._origin), Lag(_UNSEEN_ACCELERATION)
        status = Status.TRACKING if texture(frame) >= SEEN_WELL else Status.DEGRADED
        self._measured = self._estimate(stamp_ns, self._origin, errors, np.zeros(6),
                                        self._flat_covariance(_UNKNOWN_TWIST_COVARIANCE), status)
        self._measured_errors = errors
        return self._measured

    def _measure(self, stamp_ns: int, frame: CanonicalFrame) -> Estimate | None:
        """Motion from the keyframe to this image, by the student; None where too little is seen."""
        keyframe = self._keyframe
        unseen_s, age_s = ((stamp_ns - t) * 1e-9 for t in (self._marks.newest_ns, keyframe.stamp_ns))
        way_m = age_s * np.linalg.norm(self._measured.twist[:3]) / self._height_scale[0]
        too_far = age_s * self._flow_px_s > FARTHEST_FLOW_PX or way_m > FARTHEST_M
        if unseen_s > self.max_gap_s or self._is_frozen(frame) or age_s > 2 * KEYFRAME_S and too_far:
            return None
        x = self.student.front_end(keyframe.frame, frame)
        seen = followed(keyframe.frame, frame, self.student.front_end.flow(x))
        if seen < SEEN_AT_ALL:
            return None
        moved_px = self.student.front_end.moved_px(x)
        said, sigma = self.student(x)
        if not (sigma < MOST_MOTION).all():
            return None
        said = said * self._height_scale * min(max(moved_px / NOISE_PX - 1.0, 0.0), 1.0)
        still = min(max(moved_px / STILL_FLOW_PX, STILL_SIGMA), 1.0)
        sigma = sigma * self._height_scale * (still * max(1.0, SEEN_WELL / seen))
        if not self._is_plausible(stamp_ns, *self._moved(said, sigma)[2:]):
            return None
        said, sigma, inertia = keyframe.inertia.update(said, sigma, age_s)
        sigma[AHEAD] = np.hypot(sigma[AHEAD], self._level.scale_sigma * said[AHEAD])
        motion, sigma, pose, covariance = self._moved(said, sigma)
        errors = self._flat_covariance(self._error_state.moved(keyframe.errors, motion, sigma))
        twist, of_twist = self._marks.measured(stamp_ns, pose, covariance, self._lag)
        self._measured = self._estimate(stamp_ns, pose, errors, twist, self._flat_covariance(of_twist),
                                        Status.TRACKING if seen >= SEEN_WELL else Status.DEGRADED)
        self._measured_errors = errors
        self._flow_px_s = moved_px / age_s if np.isfinite(moved_px) else 0.0
        # A robot that stands keeps its keyframe, so that the noise of its motions does not add up.
        is_due = age_s >= KEYFRAME_S and moved_px >= KEYFRAME_FLOW_PX
        if is_due or moved_px >= FAST_FLOW_PX:
            if seen >= SEEN_WELL:
                self._level.drove(said / self._height_scale)
            self._set_keyframe(stamp_ns, frame, pose, errors, inertia)
            self._marks.begin_at(stamp_ns, pose, covariance, twist)
        else:
            self._marks.add(stamp_ns, pose, covariance, twist)
        return self._measured

    def _moved(self, said: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, ...]:
        """The view's motion since the keyframe and its sigma (6,) -> the base's motion (4, 4), its errors'
        (6, 6), the pose (4, 4), and the motion's covariance (6, 6).

        The second maps errors in units of the student's sigma to the tangent space at the base's right.
        """
        view_motion = geometry.from_motion(said)
        motion = self._base_T_view @ view_motion @ self._view_T_base
        # The errors are in the axes before the motion, the tangent space's after it.
        errors = self._adjoint @ geometry.turn(view_motion[:3, :3].T) * sigma
        pose = self._flat(self._keyframe.pose @ motion)
        return motion, errors, pose, errors * self._error_variance @ errors.T

    def _carry_on(self, stamp_ns: int, frame: CanonicalFrame) -> Estimate:
        """Nothing was seen: on at the last measured twist, for max_gap_s at most, ever less certain."""
        last = self._measured
        unseen_s = (stamp_ns - last.stamp_ns) * 1e-9
        grown_s = min(unseen_s, _LONGEST_S)
        motion = geometry.exp(last.twist * min(unseen_s, self.max_gap_s))
        pose = self._flat(last.pose @ motion)
        twist_covariance = self._flat_covariance(
            last.twist_covariance + np.diag(_UNSEEN_ACCELERATION * grown_s) ** 2)
        # The robot may have gone on meanwhile.
        waited = last.twist * max(min(unseen_s, _LONGEST_WAIT_S) - self.max_gap_s, 0.0)
        errors = self._flat_covariance(self._error_state.carried(
            self._measured_errors, motion, twist_covariance * grown_s**2 + np.outer(waited, waited)))
        if not self._is_frozen(frame) and texture(frame) >= SEEN_WELL:
            age_s = (stamp_ns - self._keyframe.stamp_ns) * 1e-9
            self._set_keyframe(stamp_ns, frame, pose, errors, self._keyframe.inertia.predict(age_s))
            self._marks = Marks(stamp_ns, pose)
            self._flow_px_s = 0.0
        return self._estimate(stamp_ns, pose, errors, last.twist, twist_covariance,
                              Status.DEGRADED if unseen_s <= self.max_gap_s else Status.LOST,
                              stamp_ns - self._last.stamp_ns > self.max_gap_s * 1e9)

    def _is_plausible(self, stamp_ns: int, pose: np.ndarray, covariance: np.ndarray) -> bool:
        """Whether a robot can have come to this pose since the last one that was measured; covariance (6, 6)
        of the motion from the keyframe to it."""
        last = self._measured
        change, unseen_s = self._marks.twist(stamp_ns, pose) - last.twist, (stamp_ns - last.stamp_ns) * 1e-9
        hardest = HARDEST * _UNSEEN_ACCELERATION * unseen_s
        if ((change / hardest)**2).sum() < IMPLAUSIBLE:
            return True  # however certain both twists are
        allowed = np.diag(hardest**2) + last.twist_covariance
        # Inertia weighs what is uncertain, but of what came after a held keyframe it knows nothing.
        if self._keyframe.stamp_ns == last.stamp_ns:
            allowed += self._flat_covariance(self._marks.twist_covariance(stamp_ns, pose, covariance))
        return change @ np.linalg.solve(allowed, change) < IMPLAUSIBLE

    def _is_frozen(self, frame: CanonicalFrame) -> bool:
        """Whether a moving camera gave the same image again."""
        is_same = frame.half.data == self._last_frame.half.data  # no further than to the first difference
        return is_same and bool(((self._measured.twist.reshape(2, 3)**2).sum(axis=1) > MOVING**2).any())

    def _set_keyframe(self, stamp_ns: int, frame: CanonicalFrame, pose: np.ndarray, errors: np.ndarray,
                      inertia: Inertia) -> None:
        self._keyframe = _Keyframe(stamp_ns, frame, pose, errors, inertia.at_keyframe())

    def _estimate(self, stamp_ns, pose, errors, twist, twist_covariance, status, after_gap=False) -> Estimate:
        in_odom = geometry.rotate_covariance(errors[:6, :6], pose[:3, :3])
        return Estimate(stamp_ns, pose, in_odom, twist, twist_covariance, status, after_gap)
