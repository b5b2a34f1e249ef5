"""A rosbag2 bag (mcap or sqlite3): camera images, calibration, the camera's mounting and the truth.

Read with the rosbags library, so no ROS installation is needed. The mounting is the chain of
/tf_static from base_link to the image's frame; the truth an Odometry or pose topic with 'truth' in
its name, or what was asked for: any such topic, or /tf, whose transforms from odom are taken then.
"""

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from distill_vo.camera import DEFAULT_HEIGHT_M, Camera
from distill_vo.errors import InputError
from distill_vo.settings import read_yaml
from distill_vo.sources.bag_poses import BASE, find_transform, parents, poses_in, stamp_ns, truth_of_base
from distill_vo.sources.decode import decode
from distill_vo.sources.source import Frame, Source, level_mounting, readable

IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFO = "sensor_msgs/msg/CameraInfo"
TF = "/tf"
POSES = ("nav_msgs/msg/Odometry", "geometry_msgs/msg/PoseStamped",
         "geometry_msgs/msg/PoseWithCovarianceStamped")
SUFFIXES = (".mcap", ".db3")
REMEDY = "record it again, or try ros2 bag reindex (sqlite3) or mcap recover (mcap)."

log = logging.getLogger(__name__)


def is_bag(path: Path) -> bool:
    if path.is_dir():
        return any(f.name == "metadata.yaml" or f.suffix in SUFFIXES for f in path.iterdir())
    return path.suffix in SUFFIXES


def require_rosbags() -> None:
    if find_spec("rosbags") is None:
        raise InputError("rosbags: this Python library reads and writes bags and is not installed; "
                         "run pip install rosbags.")


@contextmanager
def open_bag(path: Path):
    """The bag as a rosbags AnyReader. Raises InputError where it cannot be opened."""
    require_rosbags()
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore
    file = path
    if (path / "metadata.yaml").exists():
        read_yaml(path / "metadata.yaml", REMEDY)  # as rosbags will, but in bounds
    elif path.is_dir():  # the recorder was killed
        file = next(f for f in sorted(path.iterdir()) if f.suffix in SUFFIXES)
    try:
        reader = AnyReader([file], default_typestore=get_typestore(Stores.ROS2_JAZZY))
        reader.open()
    except Exception as error:  # its parsers let many kinds of errors out of a damaged file
        raise _broken(path, error) from error
    try:
        yield reader
    finally:
        reader.close()


def messages(reader, path: Path, topics: set[str]) -> Iterator[tuple[str, int, object]]:
    """(topic, bag time ns, message) of the topics. Raises InputError where the bag breaks off."""
    for connection, time_ns, data in _raw_messages(reader, path, topics):
        try:
            message = reader.deserialize(data, connection.msgtype)
        except Exception as error:
            raise _broken(path, error) from error
        yield connection.topic, time_ns, message


def image_stamps(path: Path, topic: str) -> np.ndarray:
    """Stamps (N,) ns of all images of a topic, without decoding them. Raises InputError."""
    with open_bag(path) as reader:
        stamps = [header_stamp_ns(data) for _, _, data in _raw_messages(reader, path, {topic})]
    return np.array(stamps, np.int64)


def header_stamp_ns(data: bytes) -> int:
    """Stamp of a CDR message that begins with a std_msgs/Header. Raises InputError."""
    if len(data) < 12:
        raise InputError(f"bag: holds an image of {len(data)} bytes, which is none; record it again.")
    # After four bytes, the second of which tells the order, the header's stamp comes first.
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return seconds * 10**9 + nanoseconds


def _raw_messages(reader, path: Path, topics: set[str]) -> Iterator[tuple]:
    connections = [c for c in reader.connections if c.topic in topics]
    raw = reader.messages(connections) if connections else iter(())
    while True:
        try:
            message = next(raw)
        except StopIteration:
            return
        except Exception as error:
            raise _broken(path, error) from error
        yield message


def open_bag_source(path: Path, image_topic: str | None = None, truth_topic: str | None = None,
                    calibration: Path | None = None, mount_height_m: float | None = None,
                    mounting_needed: bool = False, base_frame: str = BASE) -> Source:
    """Open a bag. A mounting on base_frame that is not in the bag is taken to be level, unless it is needed.
    Raises InputError.
    """
    base_frame = base_frame.lstrip("/")  # as it is done to the frames of messages
    with open_bag(path) as reader:
        types = {c.topic: c.msgtype for c in reader.connections}
        image_topic = pick_image_topic(path, types, image_topic)
        info_topic = None if calibration else pick_info_topic(path, types, image_topic)
        truth_topic = pick_truth_topic(path, types, truth_topic)
        length = sum(c.msgcount for c in reader.connections if c.topic == image_topic)
        first = next(messages(reader, path, {image_topic}), None)
        if first is None:
            raise InputError(f"{path}: topic {image_topic} has no images; record it again.")
        frame_id = first[2].header.frame_id.lstrip("/")
        info, transforms, rows = _read_small(reader, path, info_topic, truth_topic, base_frame)
    if calibration:
        camera = Camera.from_yaml(calibration, mount_height_m)
    elif info is None:
        raise InputError(f"{path}: topic {info_topic} has no message; record it with the images, "
                         "or give --calibration FILE.")
    else:
        camera = Camera.from_camera_info(info, mount_height_m or DEFAULT_HEIGHT_M)
    base_T_camera = find_transform(transforms, base_frame, frame_id)
    apart = f"{path}: /tf_static does not connect '{frame_id}' with {base_frame}"
    if base_T_camera is None and mounting_needed:
        raise InputError(f"{apart}, but how the camera is mounted must be known; record /tf_static with the "
                         "images, or give the robot's --base-frame.")
    if base_T_camera is None:
        log.warning("%s; a level camera looking forward, %.2f m above the base, is taken", apart,
                    camera.mount_height_m)
        base_T_camera = level_mounting(camera.mount_height_m)
    truth = truth_of_base(path, truth_topic, rows, transforms, base_frame)
    whole = path.resolve()
    return Source(whole.name if whole.is_dir() else whole.stem, camera, base_T_camera, length,
                  partial(_frames, path, image_topic, camera), truth)


def pick_image_topic(path: Path, types: dict[str, str], wanted: str | None) -> str:
    """The image topic asked for, or the only one. types: topic -> message type."""
    found = sorted(t for t, kind in types.items() if kind in IMAGES)
    if wanted in found:
        return wanted
    if not found:
        raise InputError(f"{path}: has no topic of images (Image or CompressedImage); record the "
                         "camera.")
    if wanted:
        raise InputError(f"{path}: has no image topic {wanted}; it has {', '.join(found)}.")
    if len(found) > 1:
        raise InputError(f"{path}: has several image topics ({', '.join(found)}); choose one with "
                         "--image-topic TOPIC (in ROS, image_topic:=TOPIC).")
    return found[0]


def pick_info_topic(path: Path, types: dict[str, str], image_topic: str) -> str:
    """The CameraInfo topic that shares most of its namespace with the image topic."""
    def nearness(topic: str) -> tuple[int, int]:
        """Shared parts of the namespace, then (negative) its own depth."""
        pairs = zip(topic.split("/")[:-1], image_topic.split("/"), strict=False)
        depth = topic.count("/")
        return next((i for i, (a, b) in enumerate(pairs) if a != b), depth), -depth

    found = sorted((t for t, kind in types.items() if kind == INFO), key=nearness, reverse=True)
    if not found or len(found) > 1 and nearness(found[0]) == nearness(found[1]):
        which = f"several ({', '.join(found)})" if found else "none"
        raise InputError(f"{path}: needs one CameraInfo topic for {image_topic} and has {which}; "
                         "give --calibration FILE, a ROS camera_info YAML file.")
    return found[0]


def pick_truth_topic(path: Path, types: dict[str, str], wanted: str | None) -> str | None:
    """The truth's topic asked for, or the first whose name says so, or None."""
    found = sorted(t for t, kind in types.items() if kind in POSES or t == TF)
    if wanted and wanted not in found:
        raise InputError(f"{path}: has no pose topic {wanted} (nor is there such a trajectory "
                         f"file); it has {', '.join(found) or 'none'}.")
    named = [t for t in found if "truth" in t.lower()]
    if not wanted and len(named) > 1:
        log.warning("%s: takes %s for the truth, of %s", path, named[0], ", ".join(named))
    return wanted or next(iter(named), None)


def _read_small(reader, path: Path, info_topic: str | None, truth_topic: str | None, base_frame: str):
    """First CameraInfo or None, static transforms, and the truth's rows (see poses_in), in one pass.

    A bag that breaks off gives what comes before: its frames up to there are still worth tracking.
    """
    info, transforms, truth = None, {}, []
    try:
        for topic, _, message in messages(reader, path, {info_topic, truth_topic, "/tf_static"}):
            if topic == info_topic:
                info = info or message
            elif topic == "/tf_static":
                transforms |= parents(message)
            else:
                truth += poses_in(message, base_frame)
    except InputError as error:
        log.warning("%s", error)
    return info, transforms, truth


def _frames(path: Path, topic: str, camera: Camera) -> Iterator[Frame]:
    with open_bag(path) as reader:
        for _, time_ns, message in messages(reader, path, {topic}):
            where = f"{topic} at {time_ns / 1e9:.3f} s"
            image = readable(partial(decode, message), camera, where)
            yield Frame(stamp_ns(message.header), image)


def _broken(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(f"{path}: is not a whole rosbag2 bag ({reason.rstrip('.')}); {REMEDY}")
