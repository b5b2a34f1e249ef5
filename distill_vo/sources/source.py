"""What every source of frames looks like, whatever it was read from."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill_vo import geometry, trajectory
from distill_vo.camera import Camera
from distill_vo.errors import InputError
from distill_vo.sources.decode import decode_bytes
from distill_vo.trajectory import Trajectory

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image: grey (H, W) or BGR (H, W, 3), uint8; None, already logged, if it is unreadable."""

    stamp_ns: int
    image: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Source:
    """Frames in the order of their stamps, their camera, and the truth where it is known."""

    name: str
    camera: Camera
    base_T_camera: np.ndarray  # (4, 4)
    length: int  # frames, as far as known beforehand
    frames: Callable[[], Iterator[Frame]]
    truth: Trajectory | None = None  # of the base
    stamps_ns: np.ndarray | None = None  # (length,) where the frames are numbered

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()


def level_mounting(height_m: float) -> np.ndarray:
    """base_T_camera (4, 4) of a level, forward-looking camera; the base is on the road beneath."""
    T = np.eye(4)
    T[:3, :3], T[2, 3] = geometry.OPTICAL_AXES, height_m
    return T


def read_truth(file: Path, base_T_camera: np.ndarray, stamps_ns: np.ndarray | None) -> Trajectory:
    """Truth of the base from a file: TUM as it is, KITTI as the poses of the camera in frames at
    stamps_ns.

    Frames beyond stamps_ns are left out. Raises InputError.
    """
    truth = trajectory.read(file)
    if truth.stamped:
        return truth
    if stamps_ns is None:
        raise InputError(f"{file}: is a KITTI file, without time stamps, but these frames are not "
                         "numbered; give the truth as a TUM file.")
    frames = truth.stamps_ns // trajectory.KITTI_PERIOD_NS
    there = frames < len(stamps_ns)
    poses = base_T_camera @ truth.poses[there] @ geometry.inverse(base_T_camera)
    return Trajectory.from_poses(stamps_ns[frames[there]], poses)


def read_frames(files: Iterable[Path], stamps_ns: Iterable[int], camera: Camera) -> Iterator[Frame]:
    """Image files -> frames; a file that cannot be read is logged and comes without its image."""
    for file, stamp_ns in zip(files, stamps_ns, strict=True):
        yield Frame(int(stamp_ns), readable(lambda file=file: read_image(file), camera, file))


def readable(read: Callable[[], np.ndarray], camera: Camera,
             where: str | Path) -> np.ndarray | None:
    """The image `read` gives; None, logged, if it fails or the size is not the camera's."""
    try:
        image = read()
    except InputError as error:
        log.warning("frame skipped: %s", error)
        return None
    if image.shape[:2] != (camera.height, camera.width):
        log.warning("frame skipped: %s is %dx%d, the calibration is for %dx%d", where,
                    image.shape[1], image.shape[0], camera.width, camera.height)
        return None
    return image


def read_image(file: Path) -> np.ndarray:
    """PNG or JPEG file -> grey (H, W) or BGR (H, W, 3) uint8. Raises InputError."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check the file.") from error
    return decode_bytes(data, str(file))


def first_image(files: list[Path]) -> np.ndarray:
    """The first image that can be read. Raises InputError if none can."""
    for file in files:
        try:
            return read_image(file)
        except InputError as error:
            reason = error
    raise InputError(f"{files[0].parent}: none of the {len(files)} images can be read, the last "
                     f"because {reason}")


def check_size(where: Path, width: int, height: int, camera: Camera) -> None:
    """Raises InputError where images of this size are not the camera's."""
    if (width, height) != (camera.width, camera.height):
        raise InputError(f"{where}: images are {width}x{height}, the calibration is for "
                         f"{camera.width}x{camera.height}; calibrate at the size in use.")


def warn_of_missing(path: Path, numbers: np.ndarray) -> None:
    """Log the frames that are missing from ascending numbers."""
    missing = int(numbers[-1] - numbers[0] + 1 - len(numbers))
    if missing > 0:
        log.warning("%s: %d image(s) missing between %d and %d", path, missing, *numbers[[0, -1]])
