"""Hostile messages to the node itself, damaged recordings to `replay`, and hostile parameters."""

import array
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import rclpy
from geometry_msgs.msg import TransformStamped
from hostile import (
    CAMERA_INFOS,
    COMPRESSED_IMAGES,
    IMAGES,
    NETWORK,
    NUMBERS,
    VALUES,
    WORDS,
    Target,
    bags,
    damaged,
    weights,
)
from hypothesis import strategies as st
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from distill_vo.errors import InputError
from distill_vo.networks import PoseRegressor
from distill_vo.ros import parameters, process
from distill_vo.ros.node import VisualOdometryNode
from distill_vo.ros.recording import Recording, without_child
from distill_vo.ros.vo_parameters import PARAMETERS
from distill_vo.sources.bag import header_stamp_ns
from distill_vo.student import StudentSettings, save


def message_of(kind: type, fields) -> object:
    """A ROS message with the hostile values that its types allow."""
    message = kind()
    message.header.frame_id = fields.header.frame_id
    message.header.stamp.sec, message.header.stamp.nanosec = fields.header.sec, fields.header.nanosec
    for name, value in vars(fields).items():
        if name == "data":
            message.data = array.array("B", value)
        elif name == "roi":
            for side, number in vars(value).items():
                setattr(message.roi, side, number)
        elif name != "header":
            setattr(message, name, value)
    return message


def transform_of(numbers: list[float]) -> TFMessage:
    stamped = TransformStamped(child_frame_id="camera_optical")
    stamped.header.frame_id = "base_link"
    t, q = stamped.transform.translation, stamped.transform.rotation
    t.x, t.y, t.z, q.x, q.y, q.z, q.w = numbers
    return TFMessage(transforms=[stamped])


MOUNTED = [0.3, 0.0, 1.65, -0.5, 0.5, -0.5, 0.5]
GOOD = [
    transform_of(MOUNTED),
    CameraInfo(width=640, height=192, distortion_model="plumb_bob", d=[0.0] * 5,
               k=[380.0, 0.0, 319.5, 0.0, 380.0, 91.0, 0.0, 0.0, 1.0]),
    Image(width=640, height=192, step=640, encoding="mono8", data=array.array("B", bytes(640 * 192)),
          header=Header(frame_id="camera_optical"))]
INFO = {"received_timestamp": 0, "source_timestamp": -2**63, "publication_sequence_number": 2**64 - 1}
MESSAGES = st.lists(st.one_of(
    st.sampled_from(GOOD),
    IMAGES.map(lambda fields: message_of(Image, fields)),
    COMPRESSED_IMAGES.map(lambda fields: message_of(CompressedImage, fields)),
    CAMERA_INFOS.map(lambda fields: message_of(CameraInfo, fields)),
    st.lists(NUMBERS, min_size=7, max_size=7).map(transform_of)), max_size=6)


@cache
def nodes() -> dict[type, VisualOdometryNode]:
    """An active node for each type of image. They take what is given to their callbacks, without DDS."""
    context, found = rclpy.Context(), {}
    rclpy.init(args=["--ros-args", "-r", "__node:=hostile"], context=context)  # its log alone is silenced
    with TemporaryDirectory() as folder:
        network = PoseRegressor(NETWORK)
        network.load_state_dict(weights())
        save(Path(folder, "tiny.safetensors"), network, StudentSettings(NETWORK))
        for kind, transport in ((Image, "raw"), (CompressedImage, "compressed")):
            node = VisualOdometryNode(context=context, parameter_overrides=[
                Parameter("model", value=str(Path(folder, "tiny.safetensors"))),
                Parameter("image_transport", value=transport)])
            node.get_logger().set_level(rclpy.logging.LoggingSeverity.FATAL)
            node.start()
            found[kind] = node
    return found


def close() -> None:
    """End the nodes, where there are any, and leave their domain."""
    if nodes.cache_info().currsize:
        context = next(iter(nodes().values())).context
        for node in nodes().values():
            node.destroy_node()
        rclpy.shutdown(context=context)
        nodes.cache_clear()


def receive(messages: list) -> None:
    """All that a node hears, in this order, and something good then; each node has its type of image."""
    GOOD[-1].header.stamp.sec += 1
    for node in nodes().values():
        for message in [*messages, *GOOD]:
            for subscription in list(node.subscriptions):
                if subscription.msg_type is type(message):
                    subscription.callback(message, *([INFO] if type(message) in nodes() else []))


def replay(files: dict[str, bytes]) -> None:
    """What `replay` does with the messages of a bag before it publishes them."""
    with TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        recording = Recording(folder)
        for topic in recording.types:
            recording.message_class(topic)
            recording.qos(topic)
        for topic, _, data in recording.messages():
            if topic == "/tf_static":
                without_child(data, "base_link")
            else:
                header_stamp_ns(data)


@cache
def serialised() -> list[bytes]:
    return [serialize_message(message) for message in GOOD]


def take_apart(data: bytes) -> None:
    """The bytes of a message, as a bag or the network may bring them."""
    for read in (header_stamp_ns, lambda data: without_child(data, "base_link")):
        with suppress(InputError):
            read(data)
    for kind in (Image, CompressedImage, CameraInfo):
        message = None
        with suppress(RuntimeError):  # the middleware has refused them
            message = deserialize_message(data, kind)
        if message is not None:
            receive([message])


PARAMETER_FILE = b"""/**:
  ros__parameters:
    model: flow-s
    camera_height: 1.65
    publish_tf: true
    image_depth: 10
"""


def start_with(text: bytes) -> None:
    """A parameter file on its way into ROS."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "vo.yaml")
        file.write_bytes(text)
        process.init(["--ros-args", "--params-file", str(file)])
        rclpy.shutdown()


def judge(given: list) -> None:
    for name, value in given:
        parameters.refusal(PARAMETERS, name, value)


TARGETS = {
    "node": Target(MESSAGES, receive),
    "bytes_of_messages": Target(
        st.deferred(lambda: st.sampled_from(serialised()).flatmap(damaged)), take_apart),
    "replay_mcap": Target(bags("mcap"), replay),
    "replay_sqlite3": Target(bags("sqlite3"), replay),
    "parameter_file": Target(damaged(PARAMETER_FILE, WORDS), start_with),
    "parameter": Target(
        st.lists(st.tuples(st.sampled_from([*PARAMETERS, "x"]), VALUES), max_size=5), judge),
}
