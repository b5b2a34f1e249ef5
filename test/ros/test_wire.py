"""What is on the wire, as another DDS implementation sees it: Eclipse Cyclone DDS, its types written out.

The types are those of ROS's message definitions, with the names that ROS gives them in DDS.
"""

from dataclasses import dataclass, fields
from itertools import count

import pytest

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed (a test dependency, for x86-64 only)")

from cyclonedds.core import Policy, Qos  # noqa: E402
from cyclonedds.domain import DomainParticipant  # noqa: E402
from cyclonedds.idl import IdlStruct  # noqa: E402
from cyclonedds.idl.types import array, float64, int32, sequence, uint32  # noqa: E402
from cyclonedds.sub import DataReader  # noqa: E402
from cyclonedds.topic import Topic  # noqa: E402
from cyclonedds.util import duration  # noqa: E402

NODE = "distill_vo.ros.vo_node"
RELIABLE = Qos(Policy.Reliability.Reliable(duration(seconds=1)), Policy.History.KeepLast(100))


@dataclass
class Time(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
    stamp: Time
    frame_id: str


@dataclass
class Vector3(IdlStruct, typename="geometry_msgs::msg::dds_::Vector3_"):
    x: float64
    y: float64
    z: float64


@dataclass
class Point(IdlStruct, typename="geometry_msgs::msg::dds_::Point_"):
    x: float64
    y: float64
    z: float64


@dataclass
class Quaternion(IdlStruct, typename="geometry_msgs::msg::dds_::Quaternion_"):
    x: float64
    y: float64
    z: float64
    w: float64


@dataclass
class Pose(IdlStruct, typename="geometry_msgs::msg::dds_::Pose_"):
    position: Point
    orientation: Quaternion


@dataclass
class PoseWithCovariance(IdlStruct, typename="geometry_msgs::msg::dds_::PoseWithCovariance_"):
    pose: Pose
    covariance: array[float64, 36]


@dataclass
class Twist(IdlStruct, typename="geometry_msgs::msg::dds_::Twist_"):
    linear: Vector3
    angular: Vector3


@dataclass
class TwistWithCovariance(IdlStruct, typename="geometry_msgs::msg::dds_::TwistWithCovariance_"):
    twist: Twist
    covariance: array[float64, 36]


@dataclass
class Odometry(IdlStruct, typename="nav_msgs::msg::dds_::Odometry_"):
    header: Header
    child_frame_id: str
    pose: PoseWithCovariance
    twist: TwistWithCovariance


@dataclass
class Transform(IdlStruct, typename="geometry_msgs::msg::dds_::Transform_"):
    translation: Vector3
    rotation: Quaternion


@dataclass
class TransformStamped(IdlStruct, typename="geometry_msgs::msg::dds_::TransformStamped_"):
    header: Header
    child_frame_id: str
    transform: Transform


@dataclass
class TFMessage(IdlStruct, typename="tf2_msgs::msg::dds_::TFMessage_"):
    transforms: sequence[TransformStamped]


@pytest.fixture
def readers(domain, monkeypatch):
    """Cyclone's readers of odom and /tf, which hear all that is sent from when they are known."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    participant = DomainParticipant(domain)
    return [DataReader(participant, Topic(participant, name, kind), qos=RELIABLE)
            for name, kind in (("rt/odom", Odometry), ("rt/tf", TFMessage))]


def values(message) -> list:
    """All that is in a message of either implementation, in the order of its definition."""
    if isinstance(message, (str, int, float)):
        return [message]
    if isinstance(message, IdlStruct):
        return [v for field in fields(message) for v in values(getattr(message, field.name))]
    if hasattr(message, "get_fields_and_field_types"):
        return [v for name in message.get_fields_and_field_types() for v in values(getattr(message, name))]
    return [v for item in message for v in values(item)]


def test_another_dds_implementation_reads_odometry_and_transforms(readers, run, robot, model):
    odom, tf = readers
    seen, transforms = {}, {}  # by header

    numbers = count()

    def listen() -> tuple[int, int]:
        seen.update((tuple(values(m.header)), m) for m in odom.take(100))
        transforms.update((tuple(values(t.header)), t) for m in tf.take(100) for t in m.transforms)
        return len(seen), len(transforms)

    def both_hear() -> bool:
        # One image after another: a writer may know of a reader later than the reader of it.
        robot.show(next(numbers))
        robot.executor.spin_once(0.02)
        return all(listen()) and len(robot.odometry) > 0

    def heard_the_last(images: int) -> bool:
        listen()
        last = {tuple(values(message.header)) for message in robot.odometry[-images:]}
        return len(last) == images and last <= seen.keys() & transforms.keys()

    node = run(NODE, "--ros-args", "-p", f"model:={model}")
    robot.mount_camera()
    assert robot.meets_node(), node.log
    robot.calibrate()
    assert robot.until(lambda: bool(odom.get_matched_publications() and tf.get_matched_publications()))
    assert robot.until(both_hear), node.log
    for k in range(first := next(numbers), first + 7):
        assert robot.show_and_wait(k), node.log
    assert robot.until(lambda: heard_the_last(7)), node.log
    assert max(listen()) <= first + 7  # of each image once at most

    for message in robot.odometry[-7:]:  # as rclpy has heard them
        key = tuple(values(message.header))
        assert values(seen[key]) == values(message)  # to the last bit
        assert (seen[key].header.frame_id, seen[key].child_frame_id) == ("odom", "base_link")
        assert (transforms[key].header, transforms[key].child_frame_id) == (seen[key].header, "base_link")
        assert values(transforms[key].transform) == values(seen[key].pose.pose)
    assert seen[key].pose.pose.position.x != 0.0 and min(seen[key].pose.covariance[::7]) > 0
    assert node.stop() == 0
