"""TF without tf2_ros: the fixed transform between two frames, from what /tf_static and /tf say.

Works on tf2_msgs alone, the same with and without a ROS installation, and on the offline reader's
arithmetic. Transforms are named `a_T_b` and map b coordinates to a coordinates; metres, (4, 4) float64.
"""

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from distill_vo.sources.bag_poses import find_transform, parents

# What tf2_ros uses for its publishers and listeners.
DYNAMIC_QOS = QoSProfile(depth=100)
STATIC_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class TransformListener:
    """Listens for as long as it is needed: `close` ends that, what was heard stays."""

    def __init__(self, node: Node):
        self._node = node
        self._parents: dict[str, tuple[str, np.ndarray]] = {}  # child -> parent, parent_T_child
        self._subscriptions = [
            node.create_subscription(TFMessage, "/tf_static", self.hear, STATIC_QOS),
            node.create_subscription(TFMessage, "/tf", self.hear, DYNAMIC_QOS),
        ]

    def hear(self, message: TFMessage) -> None:
        """Take in the newest transforms."""
        self._parents |= parents(message)

    def lookup(self, target: str, source: str) -> np.ndarray | None:
        """target_T_source, or None while the two are not connected."""
        return find_transform(self._parents, target.lstrip("/"), source.lstrip("/"))

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []


def mounting_line(base: str, camera: str) -> str:
    """The command that says how a forward-looking camera is mounted; its numbers are to be filled in."""
    return (f"ros2 run tf2_ros static_transform_publisher --x 0 --y 0 --z 1.65 "
            f"--qx -0.5 --qy 0.5 --qz -0.5 --qw 0.5 --frame-id {base} --child-frame-id {camera}")


def ground_line(ground: str, base: str) -> str:
    """The command that says how high base is above the ground."""
    return f"ros2 run tf2_ros static_transform_publisher --z 0 --frame-id {ground} --child-frame-id {base}"
