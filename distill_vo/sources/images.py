"""A folder of PNG or JPEG images in the order of their names, with a ROS camera_info YAML file.

Stamps come from times.txt in the folder (seconds, one a line), else from names that are nanoseconds
(as in EuRoC, 19 digits) or microseconds (as in Oxford RobotCar, 16), else 10 Hz is taken. The base is on
the road beneath a level, forward-looking camera.
"""

import logging
from functools import partial
from pathlib import Path

import numpy as np

from distill_vo.camera import Camera
from distill_vo.errors import InputError
from distill_vo.sources.kitti import read_times
from distill_vo.sources.source import (
    IMAGE_SUFFIXES,
    Source,
    check_size,
    first_image,
    level_mounting,
    read_frames,
)

log = logging.getLogger(__name__)


def open_images(path: Path, calibration: Path | None = None,
                mount_height_m: float | None = None) -> Source:
    """Open a folder of images. Raises InputError."""
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise InputError(f"{path}: holds no PNG or JPEG images, no KITTI sequence and no rosbag2 "
                         "bag; give a folder that does.")
    camera = Camera.from_yaml(calibration or find_calibration(path, path), mount_height_m)
    height, width = first_image(files).shape[:2]
    check_size(path, width, height, camera)
    stamps = _stamps(path, files)
    return Source(path.resolve().name, camera, level_mounting(camera.mount_height_m), len(files),
                  partial(read_frames, files, stamps, camera), stamps_ns=stamps)


def find_calibration(folder: Path, source: Path) -> Path:
    """The only YAML file of a folder. Raises InputError if there is none or more than one."""
    found = sorted(f for f in folder.iterdir() if f.suffix in (".yaml", ".yml"))
    if len(found) == 1:
        return found[0]
    why = "there is no YAML file beside it" if not found else \
        f"{', '.join(f.name for f in found[:4])} are beside it"
    raise InputError(f"{source}: needs a calibration and {why}; give --calibration FILE, a ROS "
                     "camera_info YAML file.")


def _stamps(path: Path, files: list[Path]) -> np.ndarray:
    names = [f.stem for f in files]
    if not (path / "times.txt").exists():
        for digits, unit_ns in ((19, 1), (16, 1000)):
            if all(n.isascii() and n.isdigit() and len(n) == digits for n in names):
                return unit_ns * np.array([int(n) for n in names], np.int64)
        log.info("%s: has no times.txt, 10 Hz is taken", path)
    return read_times(path / "times.txt", len(files))[: len(files)]
