"""What the node publishes of an estimate: `odom`, `path` and the transform between odom and base on /tf."""

from collections import deque

from nav_msgs.msg import Odometry, Path
from rclpy.lifecycle import LifecycleNode
from rclpy.qos_overriding_options import QoSOverridingOptions
from tf2_msgs.msg import TFMessage

from distill_vo import geometry
from distill_vo.odometry import Estimate
from distill_vo.ros import messages
from distill_vo.ros.transforms import DYNAMIC_QOS

PATH_PERIOD_NS = 500_000_000  # image time between two poses of the path
PATH_POSES = 2000


class Outputs:
    """Lifecycle publishers of a node; `close` destroys them."""

    def __init__(self, node: LifecycleNode, odom_frame: str, base_frame: str):
        self._node, self._odom_frame, self._base_frame = node, odom_frame, base_frame
        self._odometry = node.create_lifecycle_publisher(
            Odometry, "odom", 10, qos_overriding_options=QoSOverridingOptions.with_default_policies())
        self._path = node.create_lifecycle_publisher(Path, "path", 1)
        self._tf = node.create_lifecycle_publisher(TFMessage, "/tf", DYNAMIC_QOS)
        self._poses: deque = deque(maxlen=PATH_POSES)

    def close(self) -> None:
        for publisher in (self._odometry, self._path, self._tf):
            self._node.destroy_lifecycle_publisher(publisher)

    def forget_path(self) -> None:
        self._poses.clear()

    def publish(self, estimate: Estimate) -> None:
        if self._node.get_parameter("publish_tf").value:
            self._tf.publish(TFMessage(transforms=[self._transform(estimate)]))
        self._odometry.publish(messages.odometry(estimate, self._odom_frame, self._base_frame))
        self._extend_path(estimate)

    def _transform(self, estimate: Estimate):
        frames, T = [self._odom_frame, self._base_frame], estimate.pose
        if self._node.get_parameter("invert_tf").value:
            frames, T = frames[::-1], geometry.inverse(T)
        return messages.transform_stamped(estimate.stamp_ns, *frames, T)

    def _extend_path(self, estimate: Estimate) -> None:
        if self._poses:
            elapsed_ns = estimate.stamp_ns - messages.ns_from_time(self._poses[-1].header.stamp)
            if elapsed_ns < 0:
                self._poses.clear()
            elif elapsed_ns < PATH_PERIOD_NS:
                return
        pose = messages.pose_stamped(estimate.stamp_ns, self._odom_frame, estimate.pose)
        self._poses.append(pose)
        if self._path.get_subscription_count():
            self._path.publish(Path(header=pose.header, poses=list(self._poses)))
