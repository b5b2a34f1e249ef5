"""A robot for measurements: a camera, its calibration and its mounting on topics, and what the node answers.

Images are grey noise that grows from the middle, as the view ahead of a moving car does. They are stamped at
the camera's rate; latency is the time from before an image is published until its odometry has arrived here.
"""

import array
import time

import cv2
import numpy as np
import rclpy
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.ros import messages

VIEWS = 20  # shown forwards and backwards
FOCAL_LENGTH = 0.58  # of the width, as KITTI's
START_S = 60.0  # the node may take this long to start on a busy machine
LAST_S = 2.0  # for what is still on its way
BASE_T_CAMERA = geometry.from_position_quaternion([0.3, 0.0, 1.65], [-0.5, 0.5, -0.5, 0.5])


class Robot:
    """See the module. Size is width and height in pixels, encoding mono8 or bgr8."""

    def __init__(self, size: tuple[int, int], encoding: str, rate_hz: float, qos: QoSProfile):
        self.size, self.encoding, self.rate_hz, self.qos = size, encoding, rate_hz, qos
        self.sent, self._stamp_ns = 0, 10**18
        self._left_at: dict[int, float] = {}  # of images without an answer: stamp (ns) -> seconds
        self.latencies: list[float] = []  # of the answers, as they came
        self._info = _camera_info(size)
        self._views = [_message(view, encoding) for view in _views(size)]
        rclpy.init()
        self.node = rclpy.create_node("robot")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._image_publisher = self.node.create_publisher(Image, "image", qos)
        self._info_publisher = self.node.create_publisher(CameraInfo, "camera_info", qos)
        self._static_publisher = self.node.create_publisher(TFMessage, "/tf_static", latched)
        self.node.create_subscription(Odometry, "odom", self._on_odometry, 100)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown()

    def meet_node(self) -> None:
        """Show images until one is answered, and forget them. Raises InputError where none is."""
        self._static_publisher.publish(TFMessage(transforms=[messages.transform_stamped(
            0, "base_link", "camera_optical", BASE_T_CAMERA)]))
        deadline = time.perf_counter() + START_S
        while not self.latencies:
            if time.perf_counter() > deadline:
                raise InputError(f"vo_node: gave no odometry within {START_S:.0f} s; its log says why.")
            self.drive(1)
        self._serve_for(LAST_S)
        self.sent, self.latencies, self._left_at = 0, [], {}

    def drive(self, images: int) -> None:
        """Show so many images at the camera's rate, and take in what is answered meanwhile.

        Where this process is late, the camera is: it does not make up for it with a burst.
        """
        due = time.perf_counter()
        for _ in range(images):
            self._show()
            due = max(due + 1 / self.rate_hz, time.perf_counter())
            self._serve_for(due - time.perf_counter())

    def finish(self) -> None:
        """Wait for the last answers."""
        deadline = time.perf_counter() + LAST_S
        while self._left_at and time.perf_counter() < deadline:
            self.executor.spin_once(0.05)

    def figures(self, warm_up: int = 0) -> dict:
        """What became of the images; latencies without those of the first `warm_up` answers."""
        latencies = self.latencies[warm_up:]
        return {"frames": self.sent, "lost": self.sent - len(self.latencies),
                "width": self.size[0], "height": self.size[1], "encoding": self.encoding,
                "rate_hz": self.rate_hz, "reliability": self.qos.reliability.name.lower(),
                "depth": self.qos.depth,
                "latency_ms_p50": milliseconds(latencies, 50), "latency_ms_p99": milliseconds(latencies, 99)}

    def _show(self) -> None:
        self._stamp_ns += round(1e9 / self.rate_hz)
        there_and_back = self.sent % (2 * VIEWS - 2)
        image = self._views[min(there_and_back, 2 * VIEWS - 2 - there_and_back)]
        self._info.header.stamp = image.header.stamp = messages.time_from_ns(self._stamp_ns)
        self.sent += 1
        self._left_at[self._stamp_ns] = time.perf_counter()
        self._info_publisher.publish(self._info)
        self._image_publisher.publish(image)

    def _on_odometry(self, message: Odometry) -> None:
        left_at = self._left_at.pop(messages.ns_from_time(message.header.stamp), None)
        if left_at is not None:
            self.latencies.append(time.perf_counter() - left_at)

    def _serve_for(self, seconds: float) -> None:
        due = time.perf_counter() + seconds
        while (left := due - time.perf_counter()) > 0:
            self.executor.spin_once(left)


def milliseconds(seconds: list[float], percentile: float) -> float | None:
    """A percentile of times, None where there are none."""
    return round(1e3 * float(np.percentile(seconds, percentile)), 2) if seconds else None


def _views(size: tuple[int, int]) -> list[np.ndarray]:
    width, height = size
    noise = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    noise = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    grown = [cv2.getRotationMatrix2D((width / 2, height / 2), 0, 1.01**k) for k in range(VIEWS)]
    return [cv2.warpAffine(noise, matrix, size, borderMode=cv2.BORDER_REFLECT) for matrix in grown]


def _message(view: np.ndarray, encoding: str) -> Image:
    height, width = view.shape
    channels = {"mono8": 1, "bgr8": 3}[encoding]
    message = Image(height=height, width=width, encoding=encoding, step=channels * width)
    message.header.frame_id = "camera_optical"
    message.data = array.array("B", np.repeat(view, channels).tobytes())
    return message


def _camera_info(size: tuple[int, int]) -> CameraInfo:
    width, height = size
    f, cx, cy = FOCAL_LENGTH * width, (width - 1) / 2, (height - 1) / 2
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.header.frame_id = "camera_optical"
    info.k = np.array([f, 0, cx, 0, f, cy, 0, 0, 1])
    return info
