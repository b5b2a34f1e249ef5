"""Trajectories and their files: TUM (`stamp x y z qx qy qz qw`) and KITTI (12 numbers a line).

Poses map body to world; stamps are nanoseconds, positions metres. Written numbers are the shortest
that read back to the same float64, so a trajectory survives a TUM file to the last bit.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from distill_vo import geometry
from distill_vo.errors import InputError

LATEST_S, MOST_FRAMES = 9e9, 10**9  # later stamps are no nanoseconds in 64 bits, larger numbers no frames
KITTI_PERIOD_NS = 100_000_000  # KITTI's cameras run at 10 Hz; pose files carry no stamps


@dataclass(frozen=True, eq=False)
class Trajectory:
    """stamps_ns (N,) int64, positions (N, 3) m and quaternions (N, 4) xyzw, float64."""

    stamps_ns: np.ndarray
    positions: np.ndarray
    quaternions: np.ndarray
    oriented: bool = True  # False: only positions are known, as of GPS, and quaternions say nothing
    stamped: bool = True  # False: stamps_ns only count frames at 10 Hz, as of a KITTI file

    @classmethod
    def from_poses(cls, stamps_ns, poses, oriented: bool = True) -> "Trajectory":
        """Stamps (N,) and transforms (N, 4, 4)."""
        poses = np.asarray(poses, float).reshape(-1, 4, 4)
        quaternions = geometry.quaternion_from_matrix(poses[:, :3, :3])
        return cls(np.asarray(stamps_ns, np.int64), poses[:, :3, 3], quaternions, oriented)

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @cached_property
    def poses(self) -> np.ndarray:
        """(N, 4, 4) transforms."""
        return geometry.from_position_quaternion(self.positions, self.quaternions)

    @property
    def path_length_m(self) -> float:
        return float(np.linalg.norm(np.diff(self.positions, axis=0), axis=1).sum())


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Where to write a file that is to be at `path` whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: str | Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all."""
    with whole_file(path) as file:
        file.write_text(text)


def writable_folder(path: str | Path) -> Path:
    """A folder for results, made where it is not there yet: before the work is done, not after it.

    Raises InputError where nothing can be written into it.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            return path  # a folder that is there may still be closed to us
    except OSError as error:
        raise InputError(f"{path}: is not a folder that can be written ({error.strerror}); give "
                         "another as out.") from error


def _rows(table: np.ndarray) -> list[str]:
    return [" ".join(repr(float(v)) for v in row) for row in table]


def _seconds(stamp_ns: int) -> str:
    seconds, nanoseconds = divmod(int(stamp_ns), 10**9)
    return f"{seconds}.{nanoseconds:09d}"


def to_nanoseconds(seconds: str) -> int:
    """Decimal seconds -> nanoseconds without passing through a float (which loses digits of epochs)."""
    whole, _, fraction = seconds.partition(".")
    if fraction.isdigit() and whole.lstrip("+").isdigit():
        return int(whole) * 10**9 + int(fraction[:9].ljust(9, "0"))
    return round(float(seconds) * 1e9)


def write_tum(path: str | Path, trajectory: Trajectory) -> None:
    rows = _rows(np.hstack([trajectory.positions, trajectory.quaternions]))
    lines = [f"{_seconds(s)} {row}\n" for s, row in zip(trajectory.stamps_ns, rows, strict=True)]
    write_whole(path, "".join(lines))


def write_kitti(path: str | Path, trajectory: Trajectory) -> None:
    write_whole(path, "".join(f"{row}\n" for row in _rows(trajectory.poses[:, :3].reshape(-1, 12))))


def read(path: str | Path, stamps_ns: np.ndarray | None = None) -> Trajectory:
    """Read a trajectory; its columns tell the format: 8 TUM, 12 KITTI, 13 KITTI after a frame index.

    KITTI files carry no stamps: line (or frame index) i gets stamps_ns[i] (N,), or i at 10 Hz.
    Raises InputError for a file that is missing, of another shape, or holds no rigid poses in bounds.
    """
    path = Path(path)
    lines, words = _read_words(path)
    columns = len(words[0])
    values = _numbers(path, lines, words)
    pose = values[:, -7:] if columns == 8 else values[:, -12:]
    _refuse(path, lines, (np.abs(pose) > geometry.MOST).any(axis=1),
            f"holds a number beyond {geometry.MOST:g}; give positions in metres.")
    if columns == 8:
        _refuse(path, lines, np.abs(values[:, 0]) > LATEST_S, "holds no stamp; write seconds first.")
        _refuse(path, lines, np.abs(np.linalg.norm(pose[:, 3:], axis=1) - 1) > 0.01,
                "holds a quaternion that is not of unit length; write qx qy qz qw last.")
        stamps = np.array([to_nanoseconds(row[0]) for row in words], np.int64)
        return Trajectory(stamps, pose[:, :3], pose[:, 3:])
    frames = values[:, 0] if columns == 13 else np.arange(len(values))
    _refuse(path, lines, (frames < 0) | (frames >= MOST_FRAMES), "holds no frame number; count them from 0.")
    frames = frames.astype(np.int64)
    if stamps_ns is not None and frames.max() >= len(stamps_ns):
        raise InputError(f"{path}: holds frame {frames.max()}, but there are only {len(stamps_ns)} "
                         "time stamps; give the times that belong to these poses.")
    stamps = frames * KITTI_PERIOD_NS if stamps_ns is None else np.asarray(stamps_ns)[frames]
    poses = np.tile(np.eye(4), (len(values), 1, 1))
    poses[:, :3] = pose.reshape(-1, 3, 4)
    R = poses[:, :3, :3]
    error = np.abs(R @ R.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2))
    _refuse(path, lines, (error > 0.01) | (np.linalg.det(R) < 0),
            "is not a rigid transform; KITTI lines are the 3x4 matrix [R t], row by row.")
    return replace(Trajectory.from_poses(stamps, poses), stamped=stamps_ns is not None)


def _read_words(path: Path) -> tuple[np.ndarray, list[list[str]]]:
    """Line numbers (N,) from 1, and the words, of the lines that are neither blank nor comments."""
    try:
        text = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a trajectory ({error}); give a TUM or KITTI "
                         "text file.") from error
    rows = {i: w for i, line in enumerate(text, 1) if (w := line.split("#")[0].replace(",", " ").split())}
    widths = {len(w) for w in rows.values()}
    if widths not in ({8}, {12}, {13}):
        found = ", ".join(map(str, sorted(widths)[:5])) or "no"
        raise InputError(f"{path}: has lines of {found} columns; a trajectory has 8 (TUM), 12 (KITTI) "
                         "or 13 (KITTI after a frame index) in every line.")
    return np.array(list(rows)), list(rows.values())


def _numbers(path: Path, lines: np.ndarray, words: list[list[str]]) -> np.ndarray:
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path}: holds something that is not a number ({error}).") from error
    _refuse(path, lines, ~np.isfinite(values).all(axis=1),
            "holds a value that is not finite; remove that pose.")
    return values


def _refuse(path: Path, lines: np.ndarray, wrong: np.ndarray, why: str) -> None:
    """Raises InputError by the first of the lines (N,) that is wrong (N,)."""
    if wrong.any():
        raise InputError(f"{path}: line {lines[wrong][0]} {why}")
