"""The node on a bench: configured and activated in this process, its callbacks called, nothing on the wire.

What it publishes is in lists; everything it would have been sent is handed to it in order, so that nothing
depends on discovery or timing.
"""

import numpy as np
import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import SetBool, Trigger
from tf2_msgs.msg import TFMessage

from distill_vo import geometry
from distill_vo.camera import Camera
from distill_vo.ros import messages
from distill_vo.ros.node import VisualOdometryNode

UNTOLD = {"received_timestamp": 0, "source_timestamp": 0, "publication_sequence_number": None}
FORWARD = geometry.from_position_quaternion([0.3, 0.0, 1.65], [-0.5, 0.5, -0.5, 0.5])  # base_T_camera
CAMERA = Camera(320, 96, 190.0, 190.0, 159.5, 45.0)
PERIOD_NS = 100_000_000


class Bench:
    """See the module. Parameters are the node's; a mounting and calibration are given by `ready`."""

    def __init__(self, remap: str = "", **parameters):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        remaps = ["--ros-args", "-r", remap] if remap else []
        self.node = VisualOdometryNode(context=self.context, cli_args=remaps, parameter_overrides=[
            Parameter(name, value=value) for name, value in (parameters | {"autostart": False}).items()])
        if self.node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            return  # node.fault tells why
        self.node.trigger_activate()
        self.odometry, self.paths, self.transforms = [], [], []
        self.node._outputs._odometry.publish = self.odometry.append
        self.node._outputs._path.get_subscription_count = lambda: 1
        self.node._outputs._path.publish = self.paths.append
        self.node._outputs._tf.publish = lambda message: self.transforms.extend(message.transforms)

    def close(self) -> None:
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def mount(self, T: np.ndarray = FORWARD, parent: str = "base_link",
              child: str = "camera_optical") -> None:
        self.node._transforms.hear(TFMessage(transforms=[messages.transform_stamped(0, parent, child, T)]))

    def calibrate(self, camera: Camera) -> None:
        self.node._on_camera_info(camera_info(camera))

    def show(self, stamp_ns: int, image: np.ndarray) -> None:
        self.take(image_message(stamp_ns, image))

    def take(self, message, **info) -> None:
        """An image message, and what rclpy would tell of it; nothing by itself."""
        self.node._on_image(message, UNTOLD | info)

    def reset(self) -> Trigger.Response:
        return self.node._on_reset(Trigger.Request(), Trigger.Response())

    def pause(self, on: bool) -> SetBool.Response:
        return self.node._on_pause(SetBool.Request(data=on), SetBool.Response())

    def set_pose(self, T: np.ndarray, covariance: np.ndarray, frame: str = "odom") -> None:
        message = PoseWithCovarianceStamped()
        message.header.frame_id = frame
        message.pose.pose = messages.pose_stamped(0, frame, T).pose
        message.pose.covariance = np.asarray(covariance, float).ravel()
        self.node._on_set_pose(message)

    def diagnostics(self) -> tuple[bytes, dict[str, str]]:
        """Level and values of what would go to /diagnostics now."""
        told = []
        publish, self.node._diagnostics.publish = self.node._diagnostics.publish, told.append
        self.node._diagnose()
        self.node._diagnostics.publish = publish
        (status,) = told[0].status
        return status.level, {pair.key: pair.value for pair in status.values}


def ready(bench: Bench, mounting: np.ndarray = FORWARD) -> Bench:
    """The same bench, with calibration and mounting known."""
    bench.mount(mounting)
    bench.calibrate(CAMERA)
    return bench


def drive(bench: Bench, images: list[np.ndarray], first: int = 0) -> list:
    """Show the images at 10 Hz by their stamps; all odometry so far."""
    for k, image in enumerate(images, first):
        bench.show(k * PERIOD_NS, image)
    return bench.odometry


def camera_info(camera: Camera) -> CameraInfo:
    return CameraInfo(width=camera.width, height=camera.height, distortion_model=camera.model,
                      d=list(camera.distortion), k=camera.K.ravel())


def image_message(stamp_ns: int, image: np.ndarray, frame: str = "camera_optical") -> Image:
    """Grey (H, W) or BGR (H, W, 3) uint8."""
    message = Image(height=image.shape[0], width=image.shape[1], step=image[0].nbytes,
                    encoding="mono8" if image.ndim == 2 else "bgr8", data=image.tobytes())
    message.header.stamp, message.header.frame_id = messages.time_from_ns(stamp_ns), frame
    return message
