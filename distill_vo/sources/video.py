"""A video file OpenCV can read, with a ROS camera_info YAML file; stamps count from 0 at its frame
rate.

The base is on the road beneath a level, forward-looking camera.
"""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from distill_vo.camera import Camera
from distill_vo.errors import InputError
from distill_vo.sources.images import find_calibration
from distill_vo.sources.source import Frame, Source, check_size, level_mounting

MOST_FRAMES = 10**7  # what claims more is damaged
SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")

log = logging.getLogger(__name__)


def open_video(path: Path, calibration: Path | None = None,
               mount_height_m: float | None = None) -> Source:
    """Open a video. Raises InputError."""
    camera = Camera.from_yaml(calibration or find_calibration(path.parent, path), mount_height_m)
    capture = cv2.VideoCapture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS)
    length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    size = tuple(int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    capture.release()
    if not 0 < rate < 1e4 or length > MOST_FRAMES:
        raise InputError(f"{path}: is not a video that can be read here; convert it, for example "
                         f"with ffmpeg -i {path.name} video.mp4.")
    check_size(path, *size, camera)
    stamps = np.round(np.arange(max(0, length)) * 1e9 / rate).astype(np.int64)
    return Source(path.stem, camera, level_mounting(camera.mount_height_m), len(stamps),
                  partial(_frames, path, rate, len(stamps)), stamps_ns=stamps)


def _frames(path: Path, rate: float, length: int) -> Iterator[Frame]:
    capture = cv2.VideoCapture(str(path))
    try:
        count = 0
        while True:
            read, image = capture.read()
            if not read:
                break
            yield Frame(round(count * 1e9 / rate), image)
            count += 1
    finally:
        capture.release()
    if count < length:
        log.warning("%s: breaks off after %d of %d frames", path, count, length)
