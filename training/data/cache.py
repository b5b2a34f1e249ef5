"""Frame pairs as memory-mapped arrays: what the front end saw, and how the camera truly moved.

A cache is a folder with inputs.npy (N, channels, rows, columns) and motions.npy (N, 6: metres and
radians, camera optical axes, translations scaled to the canonical camera height), pairs of one drive
one after the other, and cache.json, written last, saying what is inside.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from distill_vo.errors import InputError
from distill_vo.frontend import FRONT_ENDS
from distill_vo.trajectory import write_whole

FORMAT = 1


@dataclass(frozen=True)
class Track:
    """Consecutive pairs of one drive: rows start..stop-1 of the arrays."""

    name: str
    stride: int  # frames between the two of a pair; negative: the drive backwards in time
    start: int
    stop: int


@dataclass(frozen=True)
class PairCache:
    """A cache opened for reading; the arrays stay on disk."""

    path: Path
    inputs: np.ndarray
    motions: np.ndarray
    tracks: tuple[Track, ...]
    about: dict

    @property
    def front_end(self) -> str:
        return self.about["front_end"]

    def __len__(self) -> int:
        return len(self.motions)

    @classmethod
    def open(cls, path: str | Path, front_end: str) -> "PairCache":
        """Raises InputError where there is no whole cache of pairs as this front end sees them."""
        path = Path(path)
        if not (path / "cache.json").is_file():
            raise InputError(f"{path}: is no finished cache; make one with `python -m training prepare "
                             f"SOURCE --out {path}`.")
        about = json.loads((path / "cache.json").read_text())
        if about.get("format") != FORMAT:
            raise InputError(f"{path}: was written in format {about.get('format')}, this version reads "
                             f"{FORMAT}; prepare it anew.")
        inputs = np.load(path / "inputs.npy", mmap_mode="r")
        motions = np.load(path / "motions.npy", mmap_mode="r")
        if about["front_end"] != front_end or inputs.shape[1:] != FRONT_ENDS[front_end].shape:
            raise InputError(f"{path}: holds pairs as {about['front_end']} sees them, the network takes "
                             f"{front_end}; prepare it with --front-end {front_end}.")
        if not len(inputs) == len(motions) == about["tracks"][-1]["stop"]:
            raise InputError(f"{path}: inputs.npy, motions.npy and cache.json disagree on the number of "
                             "pairs; prepare it anew.")
        return cls(path, inputs, motions, tuple(Track(**t) for t in about["tracks"]), about)

    def windows(self, length: int, hop: int) -> np.ndarray:
        """First rows (M,) of all windows of `length` pairs that lie inside one track."""
        return np.concatenate([np.arange(t.start, t.stop - length + 1, hop) for t in self.tracks])


def write_index(path: Path, tracks: list[Track], about: dict) -> None:
    """Write cache.json: from here on the cache is whole."""
    content = {"format": FORMAT, **about, "tracks": [asdict(t) for t in tracks]}
    write_whole(path / "cache.json", json.dumps(content, indent=1) + "\n")
