"""A bag through `replay`, and back as odometry."""

import signal
from functools import partial

import numpy as np
import pytest
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from distill_vo import cli
from distill_vo.bags import kitti_to_bag
from distill_vo.errors import InputError
from distill_vo.ros import messages
from distill_vo.ros.recording import Recording, without_child
from distill_vo.sources.bag import header_stamp_ns, open_bag
from distill_vo.trajectory import read

NODE, REPLAY = "distill_vo.ros.vo_node", "distill_vo.ros.replay"


def on_bag(*parameters: str) -> list[str]:
    """Arguments that connect the node to a bag's topics."""
    remaps = ["-r", "image:=/camera/image_raw", "-r", "camera_info:=/camera/camera_info"]
    return ["--ros-args", *remaps, *(word for p in parameters for word in ("-p", p))]


@pytest.mark.parametrize("storage, transport", [("mcap", "raw"), ("sqlite3", "compressed")])
def test_lockstep_replay_and_offline_run_give_the_same_bytes(run, domain, model, sequence, tmp_path,
                                                                     storage, transport):
    bag, out, offline = tmp_path / "bag", tmp_path / "replayed", tmp_path / "offline"
    count = kitti_to_bag(sequence, bag, storage, compressed=transport == "compressed")
    node = run(NODE, *on_bag(f"model:={model}", f"image_transport:={transport}"))
    replay = run(REPLAY, bag, "--ros-args", "-p", "lockstep:=true", "-p", f"out:={out}")
    assert replay.wait() == 0, replay.log + node.log
    assert f"{count} images sent, 0 without odometry" in replay.log
    assert node.stop(signal.SIGTERM) == 0
    assert f"{count} frames (0 lost)" in node.log

    assert cli.main(["run", str(bag), "--out", str(offline), "--model", str(model)]) == 0
    assert len(read(out / "trajectory.tum")) == count
    for name in ("trajectory.tum", "trajectory.kitti"):
        assert (out / name).read_bytes() == (offline / name).read_bytes()
    assert "path length (m)" in replay.log and (out / "path.png").stat().st_size > 0


def test_a_looping_bag_starts_anew_at_the_origin(run, robot, model, bag):
    node = run(NODE, *on_bag(f"model:={model}"))
    replay = run(REPLAY, bag, "--ros-args", "-p", "lockstep:=true", "-p", "loop:=true")
    assert robot.until(lambda: min(np.diff(robot.stamps()), default=0) < 0), replay.log + node.log
    again = next(k for k, step in enumerate(np.diff(robot.stamps()), start=1) if step < 0)
    assert messages.position_and_quaternion(robot.odometry[again].pose.pose) == (
        [0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
    assert replay.stop(signal.SIGINT) == 0 and node.stop(signal.SIGINT) == 0


class Listener:
    """A stand-in for an odometry node: overlooks one image for good, and another the first time."""

    def __init__(self, robot, overlooked: int, once: int):
        self.images, self.clock, self.overlooked, self.once = {}, [], overlooked, once
        self.publisher = robot.node.create_publisher(Odometry, "odom", 10)
        robot.node.create_subscription(Image, "/camera/image_raw", self.on_image, 10)
        robot.node.create_subscription(Clock, "/clock", self.on_clock, 10)

    def on_image(self, message: Image) -> None:
        stamp = messages.ns_from_time(message.header.stamp)
        is_new = stamp not in self.images
        self.images[stamp] = message
        k = list(self.images).index(stamp)
        if k != self.overlooked and not (k == self.once and is_new):
            self.publisher.publish(Odometry(header=message.header))

    def on_clock(self, message: Clock) -> None:
        self.clock.append(messages.ns_from_time(message.clock))


def test_what_was_recorded_arrives_and_unanswered_images_are_sent_again(run, robot, images, bag):
    listener = Listener(robot, overlooked=5, once=7)
    replay = run(REPLAY, bag, "--ros-args", "-p", "lockstep:=true", "-p", "timeout:=6.0")
    assert robot.until(lambda: replay.process.poll() is not None)
    assert replay.wait() == 0, replay.log
    assert f"{len(images)} images sent, 1 without odometry" in replay.log
    assert " 0 sent again" not in replay.log
    assert len(listener.images) == len(images)
    for message, image in zip(listener.images.values(), images, strict=True):
        assert np.array_equal(np.frombuffer(message.data, np.uint8).reshape(image.shape), image)
    stamps = list(listener.images)
    assert np.array_equal(np.diff(stamps), [100_000_000] * (len(images) - 1))
    assert listener.clock == sorted(listener.clock) and set(stamps) <= set(listener.clock)


@pytest.fixture
def robot_bag(bag, tmp_path):
    """The bag with a second camera, and with wheel odometry and a map on /tf."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store, path = get_typestore(Stores.ROS2_JAZZY), tmp_path / "robot_bag"
    with open_bag(bag) as reader, Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        topics = {c.topic: writer.add_connection(c.topic, c.msgtype, typestore=store)
                  for c in reader.connections}
        tf = writer.add_connection("/tf", "tf2_msgs/msg/TFMessage", typestore=store)
        rear = writer.add_connection("/rear/image_raw", "sensor_msgs/msg/Image", typestore=store)
        for connection, time_ns, data in reader.messages():
            if connection.topic == "/camera/image_raw":
                writer.write(rear, time_ns, data)
                pairs = (("map", "odom"), ("odom", "base_link"))
                writer.write(tf, time_ns, serialize_message(TFMessage(transforms=[
                    messages.transform_stamped(time_ns, a, b, np.eye(4)) for a, b in pairs])))
            writer.write(topics[connection.topic], time_ns, data)
    return path


def test_one_camera_of_two_is_tracked_and_the_node_moves_the_base(run, robot, model, robot_bag, tmp_path):
    node, out = run(NODE, *on_bag(f"model:={model}")), tmp_path / "out"
    assert robot.until(lambda: robot.node.count_publishers("/tf") and robot.node.count_publishers("odom"))
    replay = run(REPLAY, robot_bag, "--ros-args", "-p", "lockstep:=true", "-p", f"out:={out}",
                 "-p", "image_topic:=/camera/image_raw")
    assert robot.until(lambda: replay.process.poll() is not None)
    assert replay.wait() == 0, replay.log + node.log
    assert len(read(out / "trajectory.tum")) == 12 and node.stop() == 0
    # The node's own, once each; replayed ones may come before they are heard, so that is tested below.
    assert robot.until(lambda: [t.child_frame_id for t in robot.transforms].count("base_link") == 12)


def test_a_recorded_base_is_left_out_and_the_rest_of_tf_stays():
    recorded = TFMessage(transforms=[messages.transform_stamped(1, a, b, np.eye(4)) for a, b in (
        ("map", "odom"), ("odom", "base_link"), ("base_link", "lidar"))])
    left = deserialize_message(without_child(serialize_message(recorded), "base_link"), TFMessage)
    assert [t.child_frame_id for t in left.transforms] == ["odom", "lidar"]


def test_without_an_odometry_node_all_of_tf_is_replayed(run, robot, robot_bag):
    replay = run(REPLAY, robot_bag, "--ros-args", "-p", "rate:=10.0")
    assert robot.until(lambda: replay.process.poll() is not None)
    assert replay.wait() == 0, replay.log
    heard = [t.child_frame_id for t in robot.transforms]
    assert len(heard) > 2 and heard == (["odom", "base_link"] * 12)[-len(heard):]


def test_bad_input_is_refused_in_one_sentence(run, bag, tmp_path):
    broken = tmp_path / "broken.mcap"
    whole = next(bag.glob("*.mcap")).read_bytes()
    broken.write_bytes(whole[:len(whole) // 2])
    start = partial(run, REPLAY)
    cases = {"none was given": start(), "there is no rosbag2 bag here": start(tmp_path / "nowhere"),
             "broken.mcap": start(broken), "File name too long": start("n" * 300),
             "no image topic /front": start(bag, "--ros-args", "-p", "image_topic:=front"),
             "image_topic '/cam-1'": start(bag, "--ros-args", "-p", "image_topic:=/cam-1"),
             "from 0.01 to 100": start(bag, "--ros-args", "-p", "rate:=0.0"),
             "bag lasts only 1.1 s": start(bag, "--ros-args", "-p", "start:=1000.0"),
             "no odometry came back": start(bag, "--ros-args", "-p", f"out:={tmp_path / 'out'}",
                                            "-p", "timeout:=0.1", "-p", "rate:=100.0")}
    for sentence, program in cases.items():
        assert program.wait() == 2, program.log
        errors = [line for line in program.log.splitlines() if "error" in line.lower()]
        assert len(errors) == 1 and sentence in errors[0], program.log
        assert "Traceback" not in program.log


def test_a_bag_that_is_damaged_inside_breaks_off_in_one_sentence(bag):
    file = next(bag.glob("*.mcap"))
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle:middle + 50_000] = b"\xff" * 50_000
    file.write_bytes(content)
    with pytest.raises(InputError, match="breaks off"):
        list(Recording(bag).messages())


@pytest.mark.parametrize(("topic", "kind"), [
    ("/odom", ".av_msgs/msg/Odometry"), ("/odom", "nav_msgs/msg/__name__"),
    ("/odom", "unheard_of/msg/Odometry"), ("/ground truth", "nav_msgs/msg/Odometry")])
def test_a_topic_that_ros_does_not_have_here_is_left_out(bag, caplog, topic, kind):
    recording = Recording(bag)
    recording.types[topic] = kind
    assert recording.message_class(topic) is None and f"{topic} is left out" in caplog.text


@pytest.mark.parametrize("read", [header_stamp_ns, lambda data: without_child(data, "base_link")])
def test_a_damaged_message_of_a_bag_is_refused(read):
    with pytest.raises(InputError, match="record it again"):
        read(b"\x00\x01\x00\x00\xff\xff\xff\x7f")
