"""Visual odometry: stamped images in, pose, twist and their covariances out. No ROS, no I/O.

Poses are `odom_T_base`, metric, starting at the identity; twists are in base axes. With base_T_camera
left at the identity, base is the camera in optical axes. Covariances are in ROS order (x, y, z,
rotations about x, y, z): the pose's in odom axes, the twist's in base axes.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from distill_vo import geometry
from distill_vo.camera import CANONICAL, Camera, CanonicalView
from distill_vo.student import Student


class Status(str, Enum):
    """How far the newest pose can be relied on."""

    TRACKING = "tracking"
    LOST = "lost"  # the motion since the last image is not known; the pose was carried on


@dataclass(frozen=True, eq=False)
class Estimate:
    """Where the base was when the image was taken, and how it moved."""

    stamp_ns: int
    pose: np.ndarray  # (4, 4) odom_T_base
    pose_covariance: np.ndarray  # (6, 6) m^2, rad^2, odom axes
    twist: np.ndarray  # (6,) m/s and rad/s, base axes
    twist_covariance: np.ndarray  # (6, 6)
    status: Status


KEYFRAME_FLOW_PX = 1.0  # mean motion in the image that makes it the next keyframe
MAX_GAP_S = 1.0  # between two images; beyond it the motion is not measured
GAP_ACCELERATION = 2.0  # m/s^2 and rad/s^2, one sigma, assumed while nothing is seen

# One sigma of a pose that was only just defined to be the origin: small, but a covariance must be
# positive definite to be used.
_ORIGIN_COVARIANCE = np.diag([1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4]) ** 2
_UNKNOWN_TWIST_COVARIANCE = np.diag([10.0, 10.0, 10.0, 1.0, 1.0, 1.0]) ** 2  # before any motion


@dataclass(frozen=True, eq=False)
class _Keyframe:
    """The image motions are measured from."""

    view: np.ndarray
    pose: np.ndarray
    covariance: np.ndarray  # (6, 6) in the tangent space at the right of pose (base axes)


class VisualOdometry:
    """Feed `track` with images in the order of their stamps."""

    def __init__(self, student: Student, camera: Camera, base_T_camera: np.ndarray | None = None):
        self.view = CanonicalView(camera, student.front_end.colour)
        self.student = student
        self._scale = camera.mount_height_m / CANONICAL.mount_height_m
        self._base_T_camera = np.eye(4) if base_T_camera is None else np.asarray(base_T_camera, float)
        self.reset()

    def reset(self, pose: np.ndarray | None = None, covariance: np.ndarray | None = None) -> None:
        """Forget what was seen; the next image is at `pose` (4, 4) odom_T_base, the origin by default.

        covariance (6, 6) of that pose in odom axes; a pose just defined to be the origin has next to none.
        """
        self._origin = np.eye(4) if pose is None else np.asarray(pose, float)
        self._origin_covariance = _ORIGIN_COVARIANCE
        if covariance is not None:
            self._origin_covariance = geometry.rotate_covariance(covariance, self._origin[:3, :3].T)
        self._keyframe: _Keyframe | None = None
        self._last: Estimate | None = None

    def track(self, stamp_ns: int, image: np.ndarray) -> Estimate | None:
        """The estimate at this image: (H, W) grey or (H, W, 3) BGR uint8, of the camera's size.

        An image that comes twice or late is dropped (None); stamps that fall back by more than the longest
        gap (a bag that loops) start anew at the origin. Raises InputError where the image does not fit the
        calibration.
        """
        view = self.view(image)
        dt = 0.0 if self._last is None else (stamp_ns - self._last.stamp_ns) * 1e-9
        if dt < -MAX_GAP_S:
            self.reset()
        if self._last is None:
            return self._start(stamp_ns, view)
        if dt <= 0:
            return None
        if dt > MAX_GAP_S:
            return self._bridge(stamp_ns, view, dt)
        return self._measure(stamp_ns, view, dt)

    def _start(self, stamp_ns: int, view: np.ndarray) -> Estimate:
        self._set_keyframe(view, self._origin, self._origin_covariance)
        return self._publish(stamp_ns, self._origin, self._origin_covariance, np.zeros(6),
                             _UNKNOWN_TWIST_COVARIANCE, Status.TRACKING)

    def _measure(self, stamp_ns: int, view: np.ndarray, dt: float) -> Estimate:
        """Motion from the keyframe to this image, by the student."""
        x = self.student.front_end(self._keyframe.view, view)
        motion, covariance = self._in_base(*self.student(x))
        pose = geometry.orthonormalise(self._keyframe.pose @ motion)
        pose_covariance = geometry.propagate(self._keyframe.covariance, motion, covariance)
        # The last pose may be a measurement from the same keyframe, with an error of its own.
        step = geometry.inverse(self._last.pose) @ pose
        step_covariance = geometry.propagate(self._measured, step, covariance)
        estimate = self._publish(stamp_ns, pose, pose_covariance, geometry.log(step) / dt,
                                 step_covariance / dt**2, Status.TRACKING)
        self._measured = covariance
        # A robot that stands keeps its keyframe, so that the noise of its motions does not add up.
        if self.student.front_end.moved_px(x) >= KEYFRAME_FLOW_PX:
            self._set_keyframe(view, pose, pose_covariance)
        return estimate

    def _bridge(self, stamp_ns: int, view: np.ndarray, dt: float) -> Estimate:
        """Nothing was seen for too long: carry on at the last twist, for MAX_GAP_S at most."""
        motion = geometry.exp(self._last.twist * min(dt, MAX_GAP_S))
        pose = geometry.orthonormalise(self._last.pose @ motion)
        twist_covariance = self._last.twist_covariance + np.eye(6) * (GAP_ACCELERATION * dt) ** 2
        before = geometry.rotate_covariance(self._last.pose_covariance, self._last.pose[:3, :3].T)
        covariance = geometry.propagate(before, motion, twist_covariance * dt**2)
        self._set_keyframe(view, pose, covariance)
        return self._publish(stamp_ns, pose, covariance, self._last.twist, twist_covariance,
                             Status.LOST)

    def _set_keyframe(self, view: np.ndarray, pose: np.ndarray, covariance: np.ndarray) -> None:
        self._keyframe = _Keyframe(view, pose, covariance)
        self._measured = np.zeros((6, 6))

    def _in_base(self, motion: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Camera motion (6,) and sigma (6,) at canonical height -> base motion (4, 4), covariance (6, 6)."""
        scale = np.array([self._scale] * 3 + [1.0] * 3)
        camera_motion = geometry.from_motion(motion * scale)
        # The translation's errors are in the axes before the motion, the tangent space's after it.
        R = camera_motion[:3, :3].T
        covariance = geometry.rotate_covariance(np.diag((sigma * scale) ** 2), R)
        A = geometry.adjoint(self._base_T_camera)
        base_motion = self._base_T_camera @ camera_motion @ geometry.inverse(self._base_T_camera)
        return base_motion, A @ covariance @ A.T

    def _publish(self, stamp_ns, pose, covariance, twist, twist_covariance, status) -> Estimate:
        in_odom = geometry.rotate_covariance(covariance, pose[:3, :3])
        self._last = Estimate(stamp_ns, pose, in_odom, twist, twist_covariance, status)
        return self._last
