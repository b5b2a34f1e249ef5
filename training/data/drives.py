"""Drives: images of one calibrated camera with its true pose at each, whatever they came from.

find_drives turns what a user names (rehearsal settings, a KITTI folder, a bag) into Drives; opening a Drive
gives its camera and its frames, one after the other.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from distill_vo import settings as typed
from distill_vo.camera import Camera
from distill_vo.errors import InputError
from distill_vo.frame import CanonicalFrame
from distill_vo.sources import Source
from distill_vo.sources.bag import is_bag
from distill_vo.sources.kitti import is_kitti
from distill_vo.sources.malaga import is_malaga
from training.data.drive import DT
from training.data.rehearsal import RehearsalSettings, render_sequence


class TrueFrame(NamedTuple):
    """number: consecutive frames have consecutive ones, where one is missing or unusable a number is.

    image (H, W[, 3]) uint8, or the CanonicalFrame made of it; pose (4, 4) of the camera's view, optical axes,
    in any fixed world, metres.
    """

    number: int
    image: np.ndarray | CanonicalFrame
    pose: np.ndarray


OpenedDrive = tuple[Camera, Iterator[TrueFrame]]


@dataclass(frozen=True)
class Drive:
    """A drive that is yet to be opened; it can be sent to another process."""

    name: str
    frames: int  # how many, with those that turn out to be unusable
    period_s: float  # from one frame to the next
    origin: dict  # what exactly it is, in plain JSON values
    open: Callable[[], OpenedDrive]
    rotation: np.ndarray | None = None  # (3, 3) from the camera's axes to its view's, where they differ


@dataclass(frozen=True)
class Choice:
    """What is taken of a source; None: what is usual."""

    sequences: str | None = None  # of a KITTI folder
    colour: bool = False  # rather than grey, where there are both
    camera_height_m: float | None = None
    image_topic: str | None = None
    pose_topic: str | None = None
    base_frame: str | None = None


@dataclass(frozen=True)
class RehearsalPlan:
    """A YAML file of rehearsal settings: streets that are rendered while they are prepared."""

    sequences: int
    settings: RehearsalSettings

    def __post_init__(self):
        typed.check(self, {"sequences": (1, 10_000)})


def find_drives(source: Path, choice: Choice) -> list[Drive]:
    """All drives of a source: rehearsal settings (YAML), a KITTI folder, or a bag. Raises InputError."""
    from training.data.bag import find_bag
    from training.data.kitti import find_kitti
    if not source.exists():
        raise InputError(f"{source}: does not exist; give a KITTI folder, a rosbag2 bag or a YAML file of "
                         "rehearsal settings.")
    if source.suffix in (".yaml", ".yml"):
        return find_rehearsal(source)
    if is_bag(source):
        return [find_bag(source, choice)]
    if source.is_dir() and ((source / "sequences").is_dir() or is_kitti(source)):
        return find_kitti(source, choice)
    if source.is_dir() and is_malaga(source):
        raise InputError(f"{source}: is a Malaga extract, which has GPS positions but no true poses, so "
                         f"nothing can be trained on it; test on it with `distill_vo run {source}`.")
    raise InputError(f"{source}: is no KITTI folder (sequences/ and poses/), no rosbag2 bag and no YAML file "
                     "of rehearsal settings; training needs one of these, with true poses.")


def find_rehearsal(file: Path) -> list[Drive]:
    """The streets of a file of rehearsal settings. Raises InputError."""
    plan = typed.load(RehearsalPlan, file)
    return [Drive(f"{file.stem}_{i:04d}", plan.settings.frames, DT, {"rehearsal": i, **asdict(plan.settings)},
                  partial(open_rehearsal, plan.settings, i)) for i in range(plan.sequences)]


def open_rehearsal(settings: RehearsalSettings, index: int) -> OpenedDrive:
    """Render drive `index` of these settings."""
    drive = render_sequence(settings, index)
    camera = Camera.from_projection(drive.K, settings.width, settings.height, drive.camera_height)
    return camera, (TrueFrame(k, frame.image, frame.pose) for k, frame in enumerate(drive))


def true_frames(source: Source, numbers: np.ndarray, poses: np.ndarray) -> Iterator[TrueFrame]:
    """A source's frames with their numbers (N,) and camera poses (N, 4, 4).

    Left out are frames that cannot be read (already logged) and those whose pose is NaN.
    """
    for frame, number, pose in zip(source, numbers, poses, strict=True):
        if frame.image is not None and np.isfinite(pose).all():
            yield TrueFrame(int(number), frame.image, pose)
