"""Poses, twists and stamps as ROS messages, and back. Pure functions.

Transforms are (4, 4) float64; stamps are int nanoseconds. Numbers pass through unchanged: a pose in a
message is the pose of the trajectory file, to the last bit.
"""

from typing import TYPE_CHECKING

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import (
    Pose,
    PoseStamped,
    PoseWithCovarianceStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from nav_msgs.msg import Odometry

from distill_vo import geometry
from distill_vo.errors import InputError

if TYPE_CHECKING:
    from distill_vo.odometry import Estimate


def time_from_ns(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)


def ns_from_time(time: Time) -> int:
    return time.sec * 10**9 + time.nanosec


def _position_and_quaternion(T: np.ndarray) -> tuple[list[float], Quaternion]:
    x, y, z, w = geometry.quaternion_from_matrix(T[:3, :3]).tolist()
    return T[:3, 3].tolist(), Quaternion(x=x, y=y, z=z, w=w)


def transform_stamped(stamp_ns: int, frame: str, child_frame: str, T: np.ndarray) -> TransformStamped:
    """frame_T_child (4, 4) for TF."""
    (x, y, z), rotation = _position_and_quaternion(T)
    message = TransformStamped(child_frame_id=child_frame)
    message.header.stamp, message.header.frame_id = time_from_ns(stamp_ns), frame
    message.transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=rotation)
    return message


def pose_stamped(stamp_ns: int, frame: str, T: np.ndarray) -> PoseStamped:
    """frame_T_body (4, 4) as a pose."""
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = time_from_ns(stamp_ns), frame
    _fill_pose(message.pose, T)
    return message


def odometry(estimate: "Estimate", odom_frame: str, base_frame: str) -> Odometry:
    """Pose of base in odom, twist in base, both with covariance (REP-103, REP-105)."""
    message = Odometry(child_frame_id=base_frame)
    message.header.stamp = time_from_ns(estimate.stamp_ns)
    message.header.frame_id = odom_frame
    _fill_pose(message.pose.pose, estimate.pose)
    message.pose.covariance = estimate.pose_covariance.ravel()
    vx, vy, vz, wx, wy, wz = estimate.twist.tolist()
    message.twist.twist.linear = Vector3(x=vx, y=vy, z=vz)
    message.twist.twist.angular = Vector3(x=wx, y=wy, z=wz)
    message.twist.covariance = estimate.twist_covariance.ravel()
    return message


def _fill_pose(pose: Pose, T: np.ndarray) -> None:
    (pose.position.x, pose.position.y, pose.position.z), pose.orientation = _position_and_quaternion(T)


def position_and_quaternion(pose: Pose) -> tuple[list[float], list[float]]:
    """geometry_msgs/Pose -> position (3) m and quaternion (4) xyzw."""
    p, q = pose.position, pose.orientation
    return [p.x, p.y, p.z], [q.x, q.y, q.z, q.w]


def pose_with_covariance(message: PoseWithCovarianceStamped,
                         frame: str) -> tuple[np.ndarray, np.ndarray | None]:
    """A pose (4, 4) in `frame` and its covariance (6, 6); None where all of that is zero (not told).

    Raises InputError where it is in another frame, or is no pose.
    """
    where = message.header.frame_id.lstrip("/")
    if where not in ("", frame.lstrip("/")):
        raise InputError(f"set_pose: is given in {where}, not in {frame}; set RViz's fixed frame to {frame}.")
    position, quaternion = position_and_quaternion(message.pose.pose)
    covariance = np.array(message.pose.covariance).reshape(6, 6)
    is_bounded = (np.abs([*position, *quaternion]) < geometry.MOST).all()
    if not is_bounded or not abs(np.linalg.norm(quaternion) - 1) < 0.1:
        raise InputError(f"set_pose: position {position} and quaternion {quaternion} are no pose.")
    pose = geometry.from_position_quaternion(position, quaternion)
    if not covariance.any():
        return pose, None
    # RViz leaves z, roll and pitch at zero, which is no covariance: there they are as good as known.
    covariance = (covariance + covariance.T) / 2 + 1e-6 * np.eye(6)
    if not (np.abs(covariance) < geometry.MOST).all() or np.linalg.eigvalsh(covariance).min() <= 0:
        raise InputError("set_pose: its covariance is not positive definite.")
    return pose, covariance
