"""A KITTI odometry sequence: image_0 (grey) or image_2 (colour), calib.txt, times.txt,
poses/NN.txt.

The camera is rectified. KITTI says nothing of a robot's base: it is taken to be on the road beneath
camera 0, the camera level and looking forward. Truth comes from ../../poses/NN.txt.
"""

from functools import partial
from pathlib import Path

import numpy as np

from distill_vo.camera import DEFAULT_HEIGHT_M, Camera
from distill_vo.errors import InputError
from distill_vo.sources.source import (
    IMAGE_SUFFIXES,
    Source,
    check_size,
    first_image,
    level_mounting,
    read_frames,
    read_truth,
    warn_of_missing,
)
from distill_vo.trajectory import KITTI_PERIOD_NS

CAMERAS = (0, 2)
MOST_FRAMES = 10**6  # file names beyond it are no frame numbers


def is_kitti(path: Path) -> bool:
    return (path / "calib.txt").is_file() or any((path / f"image_{i}").is_dir() for i in CAMERAS)


def open_kitti(path: Path, camera_index: int | None = None, calibration: Path | None = None,
               mount_height_m: float | None = None) -> Source:
    """Open a sequence folder; the grey camera 0 where there are both. Raises InputError."""
    index, files = list_images(path, camera_index)
    numbers = np.array([int(file.stem) for file in files])
    warn_of_missing(files[0].parent, numbers)
    times = read_times(path / "times.txt", numbers[-1] + 1)
    height, width = first_image(files).shape[:2]
    camera_T_first = np.eye(4)
    if calibration:
        camera = Camera.from_yaml(calibration, mount_height_m)
        check_size(files[0].parent, width, height, camera)
    else:
        P = read_projection(path / "calib.txt", index)
        camera = Camera.from_projection(P, width, height, mount_height_m or DEFAULT_HEIGHT_M)
        # P = K [I | t] sees points of camera 0, whose path the poses are.
        camera_T_first[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
    base_T_first = level_mounting(camera.mount_height_m)
    truth = find_truth(path)
    base_T_camera = base_T_first @ np.linalg.inv(camera_T_first)
    return Source(path.resolve().name, camera, base_T_camera, len(files),
                  partial(read_frames, files, times[numbers], camera),
                  read_truth(truth, base_T_first, times) if truth else None, times)


def list_images(path: Path, camera_index: int | None = None) -> tuple[int, list[Path]]:
    """The camera's index and its image files in the order of their numbers. Raises InputError."""
    wanted = CAMERAS if camera_index is None else (camera_index,)
    index = next((i for i in wanted if (path / f"image_{i}").is_dir()), None)
    if index is None:
        folders = " or ".join(f"image_{i}" for i in wanted)
        raise InputError(f"{path}: has no folder {folders}; a KITTI sequence has its images there.")
    files = [f for f in (path / f"image_{index}").iterdir()
             if f.suffix.lower() in IMAGE_SUFFIXES and f.stem.isascii() and f.stem.isdigit()
             and int(f.stem) < MOST_FRAMES]
    if not files:
        raise InputError(f"{path / f'image_{index}'}: holds no images; KITTI's are 000000.png, "
                         "000001.png and so on.")
    return index, sorted(files, key=lambda f: int(f.stem))


def read_projection(path: Path, index: int) -> np.ndarray:
    """The 3x4 matrix P<index> of calib.txt. Raises InputError."""
    try:
        rows = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        P = np.array(rows[f"P{index}"].split(), float).reshape(3, 4)
        if np.isfinite(P).all() and abs(np.linalg.det(P[:, :3])) > 1e-9:
            return P
    except OSError as error:
        raise InputError(f"{path}: calibration cannot be read ({error.strerror}); put KITTI's "
                         "calib.txt there or give --calibration FILE.") from error
    except (KeyError, ValueError):
        pass
    raise InputError(f"{path}: has no line 'P{index}:' with the 12 numbers of a projection matrix; "
                     "put KITTI's calib.txt there or give --calibration FILE.")


def read_times(path: Path, count: int) -> np.ndarray:
    """Stamps (>= count,) ns from a file of seconds, one a line; 10 Hz without such a file."""
    if not path.exists():
        return np.arange(count, dtype=np.int64) * KITTI_PERIOD_NS
    try:
        seconds = np.array(path.read_text().split(), float)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as seconds, one a line ({error}); mend or remove "
                         "it.") from error
    if len(seconds) < count:
        raise InputError(f"{path}: has {len(seconds)} times, but there are images up to number "
                         f"{count - 1}; mend or remove it (10 Hz is taken then).")
    if not (np.isfinite(seconds).all() and (seconds >= 0).all() and (seconds < 9e9).all()
            and (np.diff(seconds) > 0).all()):
        raise InputError(f"{path}: times must be finite, positive and ascending seconds; mend or "
                         "remove it (10 Hz is taken then).")
    return np.round(seconds * 1e9).astype(np.int64)


def find_truth(path: Path) -> Path | None:
    """poses/NN.txt of sequences/NN, if it is there."""
    folder = path.resolve()
    file = folder.parent.parent / "poses" / f"{folder.name}.txt"
    return file if file.is_file() else None
