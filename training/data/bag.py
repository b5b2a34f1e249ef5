"""Your own robot's rosbag2 bag: images of a calibrated camera, its mounting, and poses from anywhere.

Poses may come from a topic of Odometry, PoseStamped or PoseWithCovarianceStamped, or from TF (odom -> base).
They need not be taken at the moments of the images: the pose between two is interpolated; where they are
far apart, images are left out.
"""

import logging
import math
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from distill_vo.errors import InputError
from distill_vo.level import ahead
from distill_vo.odometry import KEYFRAME_S
from distill_vo.sources import Source
from distill_vo.sources.bag import BASE, POSES, TF, image_stamps, open_bag, open_bag_source, pick_image_topic
from training.data.drives import Choice, Drive, OpenedDrive, true_frames
from training.data.poses import LARGEST_GAP_NS, ascending, interpolate, number, period_s, refuse_backwards

log = logging.getLogger(__name__)


def find_bag(path: Path, choice: Choice) -> Drive:
    """The drive in a bag, after its stamps and poses have been looked at. Raises InputError."""
    with open_bag(path) as reader:
        types = {c.topic: c.msgtype for c in reader.connections}
    images = pick_image_topic(path, types, choice.image_topic)
    topic = pick_pose_topic(path, types, choice.pose_topic)
    base = choice.base_frame or BASE
    source = _open(path, images, topic, choice.camera_height_m, base)
    if source.truth is None:
        raise InputError(f"{path}: topic {topic} has no poses{' from odom' if topic == TF else ''}; choose "
                         "another with --pose-topic.")
    stamps = image_stamps(path, images)
    refuse_backwards(stamps, f"{path}: topic {images}")
    poses = interpolate(ascending(source.truth, f"{path}: topic {topic}"), stamps) @ source.base_T_camera
    rotation = ahead(source.base_T_camera[:3, :3])  # as the odometry sees it
    if rotation is None:
        raise InputError(f"{path}: by /tf_static its camera does not look along the x axis of {base}, within "
                         "45 degrees; correct the mounting.")
    poses[:, :3, :3] @= rotation.T
    missing = int(np.isnan(poses[:, 0, 0]).sum())
    if missing == len(stamps):
        raise InputError(f"{path}: none of its {len(stamps)} images was taken between two poses of {topic} "
                         f"that are at most {LARGEST_GAP_NS / 1e9} s apart; stamp both by the same clock.")
    if missing:
        log.warning("%s: %d of %d images have no poses of %s close around them and are left out", path,
                    missing, len(stamps), topic)
    origin = {"bag": str(path.resolve()), "image_topic": images, "pose_topic": topic, "images": len(stamps),
              "camera": asdict(source.camera), "rotation": rotation.tolist()}
    # The odometry measures motions over KEYFRAME_S or more: of a faster camera every second image, or third.
    period, numbers = period_s(stamps), number(stamps)
    every = math.ceil(KEYFRAME_S / period)
    poses[numbers % every > 0] = np.nan
    return Drive(source.name, len(stamps), every * period, origin,
                 partial(open_drive, path, images, topic, choice.camera_height_m, base, numbers // every,
                         poses), rotation)


def pick_pose_topic(path: Path, types: dict[str, str], wanted: str | None) -> str:
    """The pose topic asked for, the one whose name says 'truth', the only one, or /tf. Raises InputError."""
    found = sorted(t for t, kind in types.items() if kind in POSES)
    offered = found + [TF] * (TF in types)
    if wanted is not None and wanted not in offered:
        raise InputError(f"{path}: has no pose topic {wanted}; it has {', '.join(offered) or 'none'}.")
    named = [t for t in found if "truth" in t.lower()]
    for candidates in ([wanted] if wanted else [], named, found, offered):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise InputError(f"{path}: has several pose topics ({', '.join(offered)}); choose one with "
                             "--pose-topic.")
    raise InputError(f"{path}: has no poses, which training needs; record a topic of Odometry, PoseStamped "
                     "or PoseWithCovarianceStamped, or /tf with odom -> the robot's base.")


def open_drive(path: Path, image_topic: str, pose_topic: str, height_m: float | None, base: str,
               numbers: np.ndarray, poses: np.ndarray) -> OpenedDrive:
    """Camera and frames of a bag whose frames' numbers (N,) and camera poses (N, 4, 4) are known."""
    source = _open(path, image_topic, pose_topic, height_m, base)
    return source.camera, true_frames(source, numbers, poses)


def _open(path: Path, image_topic: str, pose_topic: str, height_m: float | None, base: str) -> Source:
    return open_bag_source(path, image_topic, pose_topic, mount_height_m=height_m, mounting_needed=True,
                           base_frame=base)

