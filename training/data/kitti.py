"""KITTI odometry data, and whatever has its layout: sequences/NN/ with images and poses/NN.txt.

  KITTI_ROOT                        sequences 00-08, on which everybody trains
  KITTI_ROOT --sequences test       09 and 10, on which everybody tests
  KITTI_ROOT --sequences 00,02-05   any others
  KITTI_ROOT/sequences/00           that one

Rehearsal streets in this layout have no such split: all of them are taken.
"""

import json
import logging
import re
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from distill_vo.errors import InputError
from distill_vo.sources import open_source
from distill_vo.sources.kitti import CAMERAS, list_images
from training.data.drives import Choice, Drive, OpenedDrive, true_frames
from training.data.poses import interpolate, period_s

SPLITS = {"train": "00-08", "test": "09-10"}

log = logging.getLogger(__name__)


def find_kitti(path: Path, choice: Choice) -> list[Drive]:
    """The sequences chosen of a folder in KITTI layout, or the one at path. Raises InputError."""
    if not (path / "sequences").is_dir():
        return [_drive(path, path.resolve().name, choice)]
    there = sorted(p.name for p in (path / "sequences").glob("[!.]*") if p.is_dir())
    names = choose(path, there, choice.sequences)
    return [_drive(path / "sequences" / name, f"{path.resolve().name}_{name}", choice) for name in names]


def choose(path: Path, there: list[str], wanted: str | None) -> list[str]:
    """Which of the sequences that are there are wanted. Raises InputError where one is missing."""
    if wanted is None and all((path / "sequences" / name / "sequence.json").is_file() for name in there):
        names = there
    else:
        listed = read_list(SPLITS.get(wanted or "train", wanted))
        names = [name for name in listed if name in there]
        missing = sorted(set(listed) - set(names))
        if missing and wanted not in (None, *SPLITS):
            raise InputError(f"{path}: has no sequence {', '.join(missing[:5])}; it has {', '.join(there)}.")
        if missing and names:
            log.warning("%s: sequences %s are not there, %s are", path, ", ".join(missing), ", ".join(names))
    if not names:
        raise InputError(f"{path}: has none of the sequences {SPLITS.get(wanted or 'train', wanted)}; choose "
                         f"with --sequences from {', '.join(there) or 'what you put into sequences/'}.")
    return names


def read_list(text: str) -> list[str]:
    """'00,02-05' -> ['00', '02', '03', '04', '05']. Raises InputError."""
    names = []
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", part.strip())
        first, last = (match[1], match[2] or match[1]) if match else ("1", "0")
        if int(first) > int(last):
            raise InputError(f"--sequences: '{text}' is no list of sequences; write for example 00-08 or "
                             f"00,02,09, or one of {', '.join(SPLITS)}.")
        names += [f"{i:0{len(first)}d}" for i in range(int(first), int(last) + 1)]
    return list(dict.fromkeys(names))


def _drive(folder: Path, name: str, choice: Choice) -> Drive:
    """A sequence, after everything about it but its images has been looked at. Raises InputError."""
    index = _camera_index(folder, choice.colour)
    height_m = choice.camera_height_m or _height(folder)
    source = open_source(folder, camera_index=index, mount_height_m=height_m)
    truth = folder.resolve().parent.parent / "poses" / f"{folder.resolve().name}.txt"
    if source.truth is None:
        raise InputError(f"{folder}: has no true poses, which training needs; put them at {truth}.")
    numbers = np.array([int(file.stem) for file in list_images(folder, index)[1]])
    _compare_counts(folder, truth, numbers)
    poses = interpolate(source.truth, source.stamps_ns[numbers]) @ source.base_T_camera
    origin = {"kitti": str(folder.resolve()), "image": index, "images": len(numbers),
              "camera": asdict(source.camera)}
    return Drive(name, len(numbers), period_s(source.stamps_ns), origin,
                 partial(open_sequence, folder, index, height_m, numbers, poses))


def open_sequence(folder: Path, index: int, height_m: float | None, numbers: np.ndarray,
                  poses: np.ndarray) -> OpenedDrive:
    """Camera and frames of a sequence whose images' numbers (N,) and camera poses (N, 4, 4) are known."""
    source = open_source(folder, camera_index=index, mount_height_m=height_m)
    return source.camera, true_frames(source, numbers, poses)


def _compare_counts(folder: Path, truth: Path, numbers: np.ndarray) -> None:
    """Refuse poses that are not of these images. Images that are not there are no mistake."""
    poses = sum(1 for line in truth.read_text().splitlines() if line.split("#")[0].strip())
    times = folder / "times.txt"
    frames = len(times.read_text().split()) if times.exists() else int(numbers[-1]) + 1
    if poses < frames or (times.exists() and poses > frames):
        said = f"{times} has {frames} times" if times.exists() else f"images go up to number {numbers[-1]}"
        raise InputError(f"{truth}: has {poses} poses, but {said}; poses and images must be of one drive.")
    if poses > len(numbers):
        log.warning("%s: has poses of %d frames and images of %d", folder, poses, len(numbers))


def _camera_index(folder: Path, colour: bool) -> int:
    """The camera of the kind wanted where there is one, else the other."""
    order = CAMERAS[::-1] if colour else CAMERAS
    return next((i for i in order if (folder / f"image_{i}").is_dir()), order[0])


def _height(folder: Path) -> float | None:
    """The camera's height in rehearsal streets, which say it; None elsewhere."""
    try:
        return float(json.loads((folder / "sequence.json").read_text())["camera_height_m"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
