"""Drives: images of one calibrated camera with its true pose at each, whatever they came from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from distill_vo import settings as typed
from distill_vo.camera import Camera
from distill_vo.errors import InputError
from distill_vo.evaluation.metrics import associate
from distill_vo.sources import open_source
from training.data.rehearsal import RehearsalSettings, render_sequence

# Camera, and for each frame its image (H, W[, 3]) uint8, None where unreadable, and pose (4, 4) of the
# camera, optical axes, in any fixed world.
OpenedDrive = tuple[Camera, Iterator[tuple[np.ndarray | None, np.ndarray]]]


@dataclass(frozen=True)
class Drive:
    """A drive that is yet to be opened; it can be sent to another process."""

    name: str
    open: Callable[[], OpenedDrive]


@dataclass(frozen=True)
class RehearsalPlan:
    """A YAML file of rehearsal settings: streets that are rendered while they are prepared."""

    sequences: int
    settings: RehearsalSettings


def find_drives(source: Path) -> list[Drive]:
    """All drives of a source: rehearsal settings (YAML), a KITTI folder, or a bag. Raises InputError."""
    if source.suffix in (".yaml", ".yml"):
        plan = typed.load(RehearsalPlan, source)
        return [Drive(f"{source.stem}_{i:04d}", partial(open_rehearsal, plan.settings, i))
                for i in range(plan.sequences)]
    if (source / "sequences").is_dir():
        folders = sorted(p for p in (source / "sequences").iterdir() if p.is_dir())
        return [Drive(f"{source.name}_{p.name}", partial(open_recording, p)) for p in folders]
    if source.exists():
        return [Drive(source.stem, partial(open_recording, source))]
    raise InputError(f"{source}: does not exist; give a KITTI folder, a rosbag2 bag or a YAML file of "
                     "rehearsal settings.")


def open_rehearsal(settings: RehearsalSettings, index: int) -> OpenedDrive:
    """Render drive `index` of these settings."""
    drive = render_sequence(settings, index)
    camera = Camera.from_projection(drive.K, settings.width, settings.height, drive.camera_height)
    return camera, ((frame.image, frame.pose) for frame in drive)


def open_recording(path: Path) -> OpenedDrive:
    """Anything `distill_vo run` reads, if the truth is known. Frames without a true pose are left out."""
    source = open_source(path)
    if source.truth is None:
        raise InputError(f"{path}: has no true poses, which training needs; put poses/NN.txt beside "
                         "sequences/, or record a pose topic.")

    def frames():
        poses = source.truth.poses @ source.base_T_camera
        for frame in source:
            _, at = associate(np.array([frame.stamp_ns]), source.truth.stamps_ns)
            if len(at):
                yield frame.image, poses[at[0]]

    return source.camera, frames()
