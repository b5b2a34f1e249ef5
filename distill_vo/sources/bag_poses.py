"""Poses and transforms in the messages of a bag, as arrays.

Messages are rosbags' or rclpy's. Poses are of the robot's base: where a topic tells those of another body,
the mounting of that body on the base (/tf_static) is taken off.
"""

from pathlib import Path

import numpy as np

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.trajectory import Trajectory

BASE, ODOM = "base_link", "odom"


def find_transform(transforms: dict[str, tuple[str, np.ndarray]], base: str,
                   frame: str) -> np.ndarray | None:
    """base_T_frame (4, 4) along transforms (child -> parent, parent_T_child), None if apart."""
    def ancestors(name: str) -> dict[str, np.ndarray]:
        """Ancestor -> ancestor_T_name, the name itself first."""
        chain, T = {name: np.eye(4)}, np.eye(4)
        while name in transforms:
            name, parent_T_child = transforms[name]
            if name in chain:  # a ring
                break
            T = parent_T_child @ T
            chain[name] = T
        return chain

    from_base, from_frame = ancestors(base), ancestors(frame)
    common = next((a for a in from_frame if a in from_base), None)
    return None if common is None else geometry.inverse(from_base[common]) @ from_frame[common]


def parents(message) -> dict[str, tuple[str, np.ndarray]]:
    """TFMessage -> child: (parent, parent_T_child); what is no rigid transform between two frames is passed
    over."""
    found = {}
    for stamped in message.transforms:
        parent, child = stamped.header.frame_id.lstrip("/"), stamped.child_frame_id.lstrip("/")
        t, q = np.split(np.array(_numbers(stamped.transform.translation, stamped.transform.rotation)), [3])
        is_rigid = np.isfinite(t).all() and abs(np.linalg.norm(q) - 1) < 0.1
        if parent and child and parent != child and is_rigid:
            found[child] = parent, geometry.from_position_quaternion(t, q)
    return found


def poses_in(message, base: str) -> list[tuple[str, int, tuple[float, ...]]]:
    """Whose pose, stamp (ns) and x, y, z, qx, qy, qz, qw of all poses in a message; the base's if it does not
    say.

    Numbers only: an hour of messages would fill the memory.
    """
    if hasattr(message, "transforms"):
        return [(t.child_frame_id.lstrip("/"), stamp_ns(t.header),
                 _numbers(t.transform.translation, t.transform.rotation))
                for t in message.transforms if t.header.frame_id.lstrip("/") == ODOM]
    pose = message.pose.pose if hasattr(message.pose, "pose") else message.pose
    body = getattr(message, "child_frame_id", base).lstrip("/")
    return [(body, stamp_ns(message.header), _numbers(pose.position, pose.orientation))]


def truth_of_base(path: Path, topic: str, rows: list, transforms: dict, base: str) -> Trajectory | None:
    """The trajectory of the base from rows of poses_in; None if there are none. Raises InputError."""
    if not rows:
        return None
    bodies = dict.fromkeys(row[0] for row in rows)
    body = next((b for b in bodies if find_transform(transforms, base, b) is not None), rows[0][0])
    stamps, values = zip(*(row[1:] for row in rows if row[0] == body), strict=True)
    values = np.array(values)
    is_unit = np.abs(np.linalg.norm(values[:, 3:], axis=1) - 1) < 0.5
    good = (np.abs(values) <= geometry.MOST).all(axis=1) & is_unit
    if not good.all():
        raise InputError(f"{path}: topic {topic} holds a pose that is none (not finite, beyond "
                         f"{geometry.MOST:g} m, or its quaternion not of unit length) at "
                         f"{stamps[np.argmin(good)] / 1e9:.3f} s; record it again.")
    poses = geometry.from_position_quaternion(values[:, :3], values[:, 3:])
    base_T_body = find_transform(transforms, base, body)
    if base_T_body is not None:  # the truth may be of a GPS/INS somewhere on the robot
        poses = poses @ geometry.inverse(base_T_body)
    return Trajectory.from_poses(stamps, poses)


def stamp_ns(header) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def _numbers(position, orientation) -> tuple[float, ...]:
    return (position.x, position.y, position.z, orientation.x, orientation.y, orientation.z, orientation.w)
