"""A rosbag2 bag as what a publisher needs: topics with their types, and messages as they were recorded."""

import logging
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from rclpy.exceptions import InvalidTopicNameException
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.validate_topic_name import validate_topic_name
from tf2_msgs.msg import TFMessage

from distill_vo.errors import InputError
from distill_vo.sources.bag import IMAGES, is_bag, open_bag

MESSAGE_TYPE = re.compile(r"([a-z]\w*)/msg/([A-Z]\w*)", re.ASCII)

log = logging.getLogger(__name__)


class Recording:
    """The messages of a bag, undecoded. Raises InputError where the path is no whole bag."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.exists() or not is_bag(self.path):
            raise InputError(f"bag '{path}': there is no rosbag2 bag here; give the folder that holds "
                             "its metadata.yaml.")
        with open_bag(self.path) as reader:
            self.types = {c.topic: c.msgtype for c in reader.connections}
            self._latched = {c.topic for c in reader.connections if _is_latched(c)}
            self.start_ns, self.duration_s = reader.start_time, reader.duration * 1e-9

    def messages(self, start_ns: int = 0) -> Iterator[tuple[str, int, bytes]]:
        """(topic, bag time ns, CDR) in the order of time; what is latched also from before the start."""
        with open_bag(self.path) as reader:
            raw = reader.messages()
            while True:
                try:
                    connection, time_ns, data = next(raw)
                except StopIteration:
                    return
                except Exception as error:  # its parsers let many kinds of errors out of damaged bags
                    raise InputError(f"bag '{self.path}': breaks off ({error}); record it again.") from error
                if time_ns >= start_ns or connection.topic in self._latched:
                    yield connection.topic, max(time_ns, start_ns), data

    def message_class(self, topic: str) -> type | None:
        """The topic's Python class, or None (logged) where ROS here has no such message or topic."""
        try:
            validate_topic_name(topic)
            package, name = MESSAGE_TYPE.fullmatch(self.types[topic]).groups()
            return getattr(import_module(f"{package}.msg"), name)
        except InvalidTopicNameException:
            log.warning("%s is left out: ROS 2 has no such names", topic)
        except (ImportError, AttributeError):
            log.warning("%s is left out: %s is not installed here", topic, self.types[topic])
        return None

    def qos(self, topic: str) -> QoSProfile:
        """Reliable, so that nothing is lost, and latched where it was recorded so."""
        latched = DurabilityPolicy.TRANSIENT_LOCAL if topic in self._latched else DurabilityPolicy.VOLATILE
        return QoSProfile(depth=10 if self.types[topic] in IMAGES else 100, durability=latched)


def _is_latched(connection) -> bool:
    offered = connection.ext.offered_qos_profiles
    return connection.topic == "/tf_static" or any(q.durability.name == "TRANSIENT_LOCAL" for q in offered)


def without_child(data: bytes, frame: str) -> bytes:
    """A CDR tf2_msgs/TFMessage without the transforms whose child is this frame. Raises InputError."""
    try:
        message = deserialize_message(data, TFMessage)
    except RuntimeError as error:  # of the middleware
        raise InputError("bag: holds a message on /tf that is none; record it again.") from error
    message.transforms = [t for t in message.transforms if t.child_frame_id.lstrip("/") != frame.lstrip("/")]
    return serialize_message(message)
