"""Programs in their own processes, a DDS domain of their own, and a robot in this process to talk to them."""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from distill_vo import geometry
from distill_vo.bags import kitti_to_bag
from distill_vo.networks import NetworkSettings, PoseRegressor
from distill_vo.student import StudentSettings, save

if find_spec("rclpy") is None:
    collect_ignore_glob = ["test_*.py"]  # no ROS 2 on this machine
else:
    import rclpy
    from bench import Bench
    from nav_msgs.msg import Odometry
    from nav_msgs.msg import Path as PathMessage
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from sensor_msgs.msg import CameraInfo, Image
    from tf2_msgs.msg import TFMessage

    from distill_vo.ros import messages

DEADLINE_S = 30.0
WIDTH, HEIGHT, PERIOD_NS = 320, 96, 100_000_000
BASE_T_CAMERA = geometry.from_position_quaternion([0.3, 0.0, 1.65], [-0.5, 0.5, -0.5, 0.5])


@pytest.fixture(scope="session", autouse=True)
def domain():
    """Keeps this run apart from every other on the machine."""
    from domain_coordinator import domain_id

    with domain_id() as number:
        os.environ.update(ROS_DOMAIN_ID=str(number), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
        yield number


class Program:
    """One of the package's programs in its own process; what it says is in `log`."""

    def __init__(self, file: Path, module: str, *arguments: str):
        self.file = file
        with file.open("w") as out:
            self.process = subprocess.Popen([sys.executable, "-m", module, *arguments],
                                            stdout=out, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return self.file.read_text()

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.wait()


@pytest.fixture
def run(tmp_path):
    """run("distill_vo.ros.vo_node", "--ros-args", ...): a program that ends with the test at the latest."""
    programs: list[Program] = []

    def start(module: str, *arguments: str) -> Program:
        programs.append(Program(tmp_path / f"log-{len(programs)}", module, *map(str, arguments)))
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        program.process.wait()


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A student that has learned nothing; the facts tested here hold for any."""
    torch.manual_seed(0)
    settings = NetworkSettings("dense_flow", ((2, 2, 4), (2, 2, 4)), (16, 16), hint_layer=2, input_scale=8.0,
                               motion_scale=(0.1, 0.1, 0.5, 0.01, 0.02, 0.01))
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save(path, PoseRegressor(settings), StudentSettings(settings))
    return path


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    """Grey (96, 320) noise that grows from the middle, as the view ahead of a moving car does."""
    noise = np.random.default_rng(1).integers(0, 256, (3 * HEIGHT, 3 * WIDTH), np.uint8)
    noise = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    middle = (1.5 * WIDTH, 1.5 * HEIGHT)
    views = [cv2.warpAffine(noise, cv2.getRotationMatrix2D(middle, 0.05 * k, 1.01**k), noise.shape[::-1])
             for k in range(12)]
    return [view[HEIGHT:2 * HEIGHT, WIDTH:2 * WIDTH].copy() for view in views]


@pytest.fixture(scope="session")
def sequence(images, tmp_path_factory):
    """A KITTI sequence folder with the truth of a straight drive at 8 m/s."""
    folder = tmp_path_factory.mktemp("kitti") / "sequences" / "00"
    (folder / "image_0").mkdir(parents=True)
    for k, image in enumerate(images):
        cv2.imwrite(str(folder / "image_0" / f"{k:06d}.png"), image)
    (folder / "calib.txt").write_text("P0: 190 0 159.5 0 0 190 45 0 0 0 1 0\n")
    (folder / "times.txt").write_text("".join(f"{k * 0.1:e}\n" for k in range(len(images))))
    poses = folder.parent.parent / "poses"
    poses.mkdir()
    lines = [f"1 0 0 0 0 1 0 0 0 0 1 {0.8 * k}\n" for k in range(len(images))]
    (poses / "00.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def bag(sequence, tmp_path):
    kitti_to_bag(sequence, tmp_path / "bag")
    return tmp_path / "bag"


@pytest.fixture
def bench(domain, model):
    """bench(parameter=value, ...): see Bench."""
    benches = []

    def make(**parameters) -> "Bench":
        benches.append(Bench(model=str(model), **parameters))
        return benches[-1]

    yield make
    for one in benches:
        one.close()


@pytest.fixture
def robot_in(domain, images):
    """robot_in(namespace): see Robot."""
    robots: list[Robot] = []

    def start(namespace: str) -> Robot:
        robots.append(Robot(images, namespace))
        return robots[-1]

    yield start
    for robot in robots:
        robot.close()


@pytest.fixture
def robot(robot_in):
    return robot_in("")


class Robot:
    """A camera, its calibration and TF on topics, and what the node publishes about them."""

    def __init__(self, images: list[np.ndarray], namespace: str):
        self.images = images
        self.calibrated, self.focal_length, self.delay_ns = False, 190.0, 0
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("robot", namespace=namespace, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.image = self.node.create_publisher(Image, "image", 10)
        self.info = self.node.create_publisher(CameraInfo, "camera_info", 10)
        self.static = self.node.create_publisher(TFMessage, "/tf_static", latched)
        self.odometry, self.paths, self.transforms = [], [], []
        # Odometry last: DDS tells of them in order, so who reaches it reaches the others.
        self.node.create_subscription(TFMessage, "/tf", lambda m: self.transforms.extend(m.transforms), 10)
        self.node.create_subscription(PathMessage, "path", self.paths.append, 10)
        self.node.create_subscription(Odometry, "odom", self.odometry.append, 10)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def until(self, condition) -> bool:
        """Serve callbacks until the condition holds; False where it does not before the deadline."""
        end = time.monotonic() + DEADLINE_S
        while not condition() and time.monotonic() < end:
            self.executor.spin_once(0.02)
        return condition()

    def meets_node(self) -> bool:
        publishers = (self.image, self.info)
        return self.until(lambda: all(p.get_subscription_count() for p in publishers) and all(
            self.node.count_publishers(topic) for topic in ("odom", "path")))

    def mount_camera(self) -> None:
        self.static.publish(TFMessage(transforms=[messages.transform_stamped(
            0, "base_link", "camera_optical", BASE_T_CAMERA)]))

    def calibrate(self) -> None:
        """From now on the calibration goes out before every image, as camera drivers do it."""
        self.calibrated = True

    def camera_info(self) -> "CameraInfo":
        info = CameraInfo(width=WIDTH, height=HEIGHT, distortion_model="plumb_bob", d=[0.0] * 5)
        f = self.focal_length
        info.k = np.array([f, 0, 159.5, 0, f, 45.0, 0, 0, 1])
        return info

    def stamp_ns(self, k: int) -> int:
        """Of image k; a float of seconds could not hold it."""
        return 1_700_000_000_123_456_789 + k * PERIOD_NS + self.delay_ns

    def image_message(self, k: int) -> "Image":
        message = Image(height=HEIGHT, width=WIDTH, encoding="mono8", step=WIDTH)
        message.header.stamp = messages.time_from_ns(self.stamp_ns(k))
        message.header.frame_id = "camera_optical"
        message.data = self.images[k % len(self.images)].tobytes()
        return message

    def show(self, k: int) -> None:
        if self.calibrated:
            self.info.publish(self.camera_info())
        self.image.publish(self.image_message(k))

    def show_and_wait(self, k: int) -> bool:
        """Whether odometry newer than what is there has come for image k."""
        known = len(self.odometry)
        self.show(k)
        return self.until(lambda: self.stamp_ns(k) in self.stamps()[known:])

    def show_until_answered(self, k: int) -> bool:
        """As show_and_wait, while calibration and TF may still be on their way."""
        def answered() -> bool:
            if self.stamp_ns(k) not in self.stamps():
                self.show(k)
            return self.stamp_ns(k) in self.stamps()
        return self.until(answered)

    def stamps(self) -> list[int]:
        return [messages.ns_from_time(m.header.stamp) for m in self.odometry]
