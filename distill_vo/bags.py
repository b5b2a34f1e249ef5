"""A KITTI sequence written as a rosbag2 bag, as a robot would have recorded it.

Topics: /camera/image_raw (Image, mono8 or bgr8) or /camera/image_raw/compressed (the files' own
bytes), /camera/camera_info, /ground_truth/odom (Odometry of base_link in `world`, where there is
truth) and /tf_static (base_link -> camera_optical). Stamps are the sequence's, one second later, so
that none is 0.
"""

import os
import tempfile
from pathlib import Path

import numpy as np

from distill_vo import geometry
from distill_vo.camera import DEFAULT_HEIGHT_M, Camera
from distill_vo.errors import InputError
from distill_vo.sources.bag import BASE, require_rosbags
from distill_vo.sources.kitti import list_images, open_kitti
from distill_vo.sources.source import Source

STORAGES = ("mcap", "sqlite3")
OFFSET_NS = 10**9
CAMERA_FRAME = "camera_optical"


def kitti_to_bag(sequence: str | Path, bag: str | Path, storage: str = "mcap",
                 compressed: bool = False, camera_index: int | None = None,
                 mount_height_m: float = DEFAULT_HEIGHT_M, progress=iter) -> int:
    """Write a KITTI sequence folder as a new bag folder, which appears whole or not at all.

    `progress` wraps the list of image files (tqdm). Returns the number of images; unreadable
    ones are logged and left out. Raises InputError.
    """
    sequence, bag = Path(sequence), Path(bag)
    if storage not in STORAGES:
        raise InputError(f"storage '{storage}': is not one of {', '.join(STORAGES)}.")
    if not sequence.is_dir():
        raise InputError(f"{sequence}: is not a folder; give a KITTI sequence such as "
                         "sequences/00.")
    if bag.exists():
        raise InputError(f"{bag}: exists already; remove it or give another name.")
    source = open_kitti(sequence, camera_index, mount_height_m=mount_height_m)
    files = progress(list_images(sequence, camera_index)[1])
    try:
        bag.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=bag.parent, prefix=f".{bag.name}.") as beside:
            with _Bag(Path(beside) / bag.name, storage) as new_bag:
                count = _write(new_bag, source, files, compressed)
            os.replace(Path(beside) / bag.name, bag)
    except OSError as error:
        raise InputError(f"{bag}: cannot be written ({error.strerror}); check the space and the "
                         "permissions there.") from error
    return count


def _write(bag: "_Bag", source: Source, files: list[Path], compressed: bool) -> int:
    poses = {} if source.truth is None else dict(
        zip(source.truth.stamps_ns.tolist(), source.truth.poses, strict=True))
    count = 0
    for file, frame in zip(files, source, strict=True):
        if frame.image is None:
            continue
        if count == 0:
            bag.mounting(frame.stamp_ns, source.base_T_camera)
        bag.camera_info(frame.stamp_ns, source.camera)
        if compressed:
            bag.compressed_image(frame.stamp_ns, file, frame.image)
        else:
            bag.image(frame.stamp_ns, frame.image)
        if frame.stamp_ns in poses:
            bag.truth(frame.stamp_ns, poses[frame.stamp_ns])
        count += 1
    return count


class _Bag:
    """An open bag with one method for each kind of message; stamps are the sequence's."""

    def __init__(self, path: Path, storage: str):
        require_rosbags()
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.typesys import Stores, get_typestore
        self._store = get_typestore(Stores.ROS2_JAZZY)
        # Metadata version 9 writes QoS in a form that only Jazzy and later read.
        self._writer = Writer(path, version=8, storage_plugin=StoragePlugin[storage.upper()])
        self._connections = {}

    def __enter__(self):
        self._writer.open()
        return self

    def __exit__(self, *error):
        return self._writer.__exit__(*error)

    def image(self, stamp_ns: int, image: np.ndarray) -> None:
        encoding = "mono8" if image.ndim == 2 else "bgr8"
        self._write("/camera/image_raw", stamp_ns, self._new(
            "sensor_msgs/msg/Image", self._header(stamp_ns, CAMERA_FRAME), image.shape[0],
            image.shape[1], encoding, 0, image[0].nbytes, image.reshape(-1)))

    def compressed_image(self, stamp_ns: int, file: Path, image: np.ndarray) -> None:
        encoding = "mono8" if image.ndim == 2 else "bgr8"
        kind = "png" if file.suffix.lower() == ".png" else "jpeg"
        self._write("/camera/image_raw/compressed", stamp_ns, self._new(
            "sensor_msgs/msg/CompressedImage", self._header(stamp_ns, CAMERA_FRAME),
            f"{encoding}; {kind} compressed {encoding}", np.fromfile(file, np.uint8)))

    def camera_info(self, stamp_ns: int, camera: Camera) -> None:
        P = np.hstack([camera.K, np.zeros((3, 1))])
        roi = self._new("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
        self._write("/camera/camera_info", stamp_ns, self._new(
            "sensor_msgs/msg/CameraInfo", self._header(stamp_ns, CAMERA_FRAME), camera.height,
            camera.width, "plumb_bob", np.zeros(5), camera.K.reshape(-1), np.eye(3).reshape(-1),
            P.reshape(-1), 0, 0, roi))

    def truth(self, stamp_ns: int, world_T_base: np.ndarray) -> None:
        zero = self._new("geometry_msgs/msg/Vector3", 0.0, 0.0, 0.0)
        self._write("/ground_truth/odom", stamp_ns, self._new(
            "nav_msgs/msg/Odometry", self._header(stamp_ns, "world"), BASE,
            self._new("geometry_msgs/msg/PoseWithCovariance",
                      self._new("geometry_msgs/msg/Pose", *self._pose("Point", world_T_base)),
                      np.zeros(36)),
            self._new("geometry_msgs/msg/TwistWithCovariance",
                      self._new("geometry_msgs/msg/Twist", zero, zero), np.zeros(36))))

    def mounting(self, stamp_ns: int, base_T_camera: np.ndarray) -> None:
        transform = self._new("geometry_msgs/msg/Transform", *self._pose("Vector3", base_T_camera))
        stamped = self._new("geometry_msgs/msg/TransformStamped", self._header(stamp_ns, BASE),
                            CAMERA_FRAME, transform)
        self._write("/tf_static", stamp_ns, self._new("tf2_msgs/msg/TFMessage", [stamped]))

    def _new(self, kind: str, *fields):
        return self._store.types[kind](*fields)

    def _header(self, stamp_ns: int, frame_id: str):
        seconds, nanoseconds = divmod(stamp_ns + OFFSET_NS, 10**9)
        return self._new("std_msgs/msg/Header",
                         self._new("builtin_interfaces/msg/Time", seconds, nanoseconds), frame_id)

    def _pose(self, position: str, T: np.ndarray):
        q = geometry.quaternion_from_matrix(T[:3, :3])
        return (self._new(f"geometry_msgs/msg/{position}", *T[:3, 3].tolist()),
                self._new("geometry_msgs/msg/Quaternion", *q.tolist()))

    def _write(self, topic: str, stamp_ns: int, message) -> None:
        kind = message.__msgtype__
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=self._store, offered_qos_profiles=[_qos(topic)])
        self._writer.write(self._connections[topic], stamp_ns + OFFSET_NS,
                           self._store.serialize_cdr(message, kind))


def _qos(topic: str):
    """Reliable, the last ten; /tf_static is kept for whoever comes later."""
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )
    durability = QosDurability.TRANSIENT_LOCAL if topic == "/tf_static" else QosDurability.VOLATILE
    forever = QosTime(0x7FFFFFFF, 0)
    return Qos(QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, durability, forever, forever,
               QosLiveliness.AUTOMATIC, forever, False)
