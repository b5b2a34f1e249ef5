"""Frame pairs as memory-mapped arrays: what the front end saw, and how the camera truly moved.

A cache is a folder with
  motions.npy  (N, 6) metres and radians, camera optical axes, translations scaled to the canonical
               camera height
  inputs.npy   (N, channels, rows, columns) what the front end made of each pair; or, for StackedFrames,
  frames.npy   (F, 192, 640, 3) uint8, each frame once, and pairs.npy (N, 2) which two of them a pair is
  cache.json   written last: what is inside, from where, with which cameras, and a digest of the arrays
Pairs of one track, without a gap, follow one another.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from distill_vo import geometry
from distill_vo import settings as typed
from distill_vo.errors import InputError
from distill_vo.frame import LOOKS_DOWN
from distill_vo.frontend import FRONT_ENDS
from distill_vo.level import LARGEST_RAD, missing_pitch, straight_way
from distill_vo.trajectory import write_whole

FORMAT = 11
LEAST_WAY_M = 5.0  # that a drive must lead to tell how its camera looks
ARRAYS = ("inputs", "frames", "pairs", "motions")  # those there are, in the order of the digest


@dataclass(frozen=True)
class Track:
    """Consecutive pairs of one drive: rows start..stop-1 of the arrays."""

    name: str
    stride: int  # frames between the two of a pair; negative: the drive backwards in time
    start: int
    stop: int
    seconds: float  # between the two frames of a pair

    @property
    def rows(self) -> slice:
        return slice(self.start, self.stop)


class StackedPairs:
    """Pairs of frames on disk; like an array (N, 6, 192, 640) uint8 that is put together when indexed."""

    dtype = np.dtype(np.uint8)

    def __init__(self, frames: np.ndarray, pairs: np.ndarray):
        self._frames, self._pairs = frames, pairs
        self.shape = (len(pairs), *FRONT_ENDS["stacked_frames"].shape)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index) -> "np.ndarray | StackedPairs":
        """A slice stays on disk; numbers (...) give (..., 6, 192, 640)."""
        pairs = self._pairs[index]
        if isinstance(index, slice):
            return StackedPairs(self._frames, pairs)
        both = np.moveaxis(self._frames[pairs], -1, -3)  # (..., 2, 3, 192, 640)
        return both.reshape(*pairs.shape[:-1], *self.shape[1:])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self.astype(dtype or self.dtype)

    def astype(self, dtype) -> np.ndarray:
        return self[np.arange(len(self))].astype(dtype)


@dataclass(frozen=True)
class PairCache:
    """A cache opened for reading; the arrays stay on disk."""

    path: Path
    inputs: np.ndarray | StackedPairs
    motions: np.ndarray
    tracks: tuple[Track, ...]
    about: dict

    @property
    def front_end(self) -> str:
        return self.about["front_end"]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over inputs and motions: what was computed from a cache is kept under this name."""
        there = [self.path / f"{name}.npy" for name in ARRAYS]
        return self.about.get("digest") or join_digests(file_digest(f) for f in there if f.exists())

    @cached_property
    def turn(self) -> np.ndarray:
        """(N, 2) rad by which each pair's view is to look further down and to the right for its drive to be
        level, and its straight roads to lead straight ahead; see `turn_of`."""
        drives: dict[str, list[np.ndarray]] = {}
        for track in self.tracks:
            motions = self.motions[track.rows]
            if track.stride < 0:
                motions = geometry.to_motion(geometry.inverse(geometry.from_motion(motions)))
            drives.setdefault(track.name, []).append(motions)
        found = {name: turn_of(np.concatenate(parts)) for name, parts in drives.items()}
        turns = np.zeros((len(self), 2))
        for track in self.tracks:
            turns[track.rows] = found[track.name]
        return turns

    def __len__(self) -> int:
        return len(self.motions)

    @classmethod
    def open(cls, path: str | Path, front_end: str) -> "PairCache":
        """Raises InputError where there is no whole cache of pairs as this front end sees them."""
        path = Path(path)
        about, tracks = _read_about(path)
        if about["front_end"] != front_end:
            raise InputError(f"{path}: holds pairs as {about['front_end']} sees them, the network takes "
                             f"{front_end}; prepare it with --front-end {front_end}.")
        motions = _map(path, "motions", (6,))
        if (path / "frames.npy").exists():
            _, rows, columns = FRONT_ENDS[front_end].shape
            inputs = StackedPairs(_map(path, "frames", (rows, columns, 3)), _map(path, "pairs", (2,)))
        else:
            inputs = _map(path, "inputs", FRONT_ENDS[front_end].shape)
        if not len(inputs) == len(motions) == tracks[-1].stop:
            raise InputError(f"{path}: its arrays and cache.json disagree on the number of pairs; prepare it "
                             "anew.")
        return cls(path, inputs, motions, tracks, about)

    def windows(self, length: int) -> np.ndarray:
        """First rows (M,) of windows of `length` pairs, each inside one track and end to end there."""
        return np.concatenate([np.arange(t.start, t.stop - length + 1, length) for t in self.tracks])


def turn_of(motions: np.ndarray) -> np.ndarray:
    """By how much (2,) the camera of a drive's true motions (N, 6) is to look further down and to the right,
    rad; 0 where it does not lead ahead, or not straight: that tells nothing of how the camera looks."""
    way, (aside, ahead) = motions[:, :3].sum(axis=0), straight_way(motions).sum(axis=0)
    missing = missing_pitch(way, LOOKS_DOWN) if way[2] > LEAST_WAY_M else None
    turn = missing or 0.0, aside / ahead if ahead > LEAST_WAY_M else 0.0
    return np.clip(turn, -LARGEST_RAD, LARGEST_RAD)


def _read_about(path: Path) -> tuple[dict, tuple[Track, ...]]:
    file = path / "cache.json"
    if not file.is_file():
        raise InputError(f"{path}: is no finished cache; make one with `python -m training prepare SOURCE "
                         f"--out {path}`.")
    try:
        about = json.loads(file.read_text())
        is_current = about["format"] == FORMAT
        tracks = tuple(typed.from_mapping(Track, t, "") for t in about["tracks"]) if is_current else ()
        if is_current and not (about["front_end"] in FRONT_ENDS and tracks):
            raise ValueError("holds nothing that is known")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: is damaged; prepare the cache anew.") from error
    if not is_current:
        raise InputError(f"{path}: was written in format {about['format']}, this version reads {FORMAT}; "
                         "prepare it anew.")
    return about, tracks


def _map(path: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    file = path / f"{name}.npy"
    try:
        array = np.load(file, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: is missing or damaged; prepare the cache anew.") from error
    if array.shape[1:] != shape:
        raise InputError(f"{file}: has rows of shape {array.shape[1:]}, not {shape}; prepare the cache anew.")
    return array


def write_index(path: Path, tracks: list[Track], digest: str, about: dict) -> None:
    """Write cache.json: from here on the cache is whole."""
    content = {"format": FORMAT, **about, "digest": digest, "tracks": [asdict(t) for t in tracks]}
    write_whole(path / "cache.json", json.dumps(content, indent=1) + "\n")


def file_digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def join_digests(digests) -> str:
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()
