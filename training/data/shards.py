"""Drives' pairs on their way into a cache: a folder each, written while the drive is read, then joined.

A shard holds raw arrays, of which it need not be known beforehand how long they get, and shard.json: for
each stride the numbers of pairs that follow one another without a gap, and the number of frames. Neither
writing nor joining holds more than a few frames in memory.
"""

import hashlib
import io
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from distill_vo.errors import InputError
from distill_vo.frame import CanonicalView
from distill_vo.frontend import FRONT_ENDS, StackedFrames
from training.data.cache import ARRAYS, Track, join_digests
from training.data.drives import Drive, TrueFrame
from training.data.pairs import pair_up

PART_BYTES = 1 << 23  # read and written at once when joining


def write_shard(drive: Drive, folder: Path, front_end: str, strides: list[int],
                progress: Callable[[], None] = lambda: None) -> None:
    """Write the shard of a drive; it appears whole or not at all.

    `progress` is called for each frame. Raises InputError where not one frame can be used.
    """
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    beside.mkdir(parents=True)
    try:
        with ExitStack() as files:
            _write_pairs(drive, _Arrays(beside, files), front_end, strides, progress)
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def is_whole(folder: Path) -> bool:
    """Whether there is a shard in this folder."""
    return (folder / "shard.json").is_file()


class _Arrays:
    """Raw arrays that grow by a row at a time; NAME.raw each."""

    def __init__(self, folder: Path, files: ExitStack):
        self.folder, self._files, self._open = folder, files, {}

    def append(self, name: str, row: np.ndarray) -> None:
        if name not in self._open:
            self._open[name] = self._files.enter_context((self.folder / f"{name}.raw").open("wb"))
        self._open[name].write(np.ascontiguousarray(row))


def _write_pairs(drive: Drive, arrays: _Arrays, front_end: str, strides: list[int], progress) -> None:
    logging.disable(logging.WARNING)  # what there is to say of a drive was said when it was found
    camera, frames = drive.open()
    logging.disable(logging.NOTSET)
    see = FRONT_ENDS[front_end]()
    view, stacked = CanonicalView(camera, see.whole, drive.rotation), isinstance(see, StackedFrames)
    rows: dict[int, int] = {}  # frame's number -> how many were usable before it

    def seen() -> Iterator[TrueFrame]:
        for frame in frames:
            progress()
            if frame.number in rows:
                continue  # the same stamp again
            frame = frame._replace(image=view(frame.image))
            rows[frame.number] = len(rows)
            if stacked:
                arrays.append("frames", frame.image.whole)
            yield frame

    chains: dict[int, list[int]] = {stride: [] for stride in strides}
    for pair in pair_up(camera, seen(), strides):
        if not pair.chained:
            chains[pair.stride].append(0)
        chains[pair.stride][-1] += 1
        if stacked:
            numbers = pair.first.number, pair.second.number
            arrays.append(f"pairs{pair.stride}", np.array([rows[n] for n in numbers], np.int64))
        else:
            arrays.append(f"inputs{pair.stride}", see(pair.first.image, pair.second.image))
        arrays.append(f"motions{pair.stride}", pair.motion)
    if not rows:
        where = drive.origin.get("bag") or drive.origin.get("kitti") or drive.name
        raise InputError(f"{where}: none of its {drive.frames} images can be read; see the warnings above.")
    about = {"chains": chains, "frames": len(rows), "period_s": drive.period_s}
    (arrays.folder / "shard.json").write_text(json.dumps(about))


class _Piece(NamedTuple):
    """A raw file as it goes into an array."""

    file: Path
    backwards: bool = False
    add: int = 0  # to each number in it


def join(shards: dict[str, Path], out: Path, front_end: str, strides: list[int]) -> tuple[list[Track], str]:
    """Join the shards (drive's name -> folder) to the arrays of a cache; its tracks and digest.

    Pairs of a negative stride come in the order of the drive run backwards. Raises InputError where there
    is not one pair.
    """
    tracks, start, frames = [], 0, 0
    pieces: dict[str, list[_Piece]] = {name: [] for name in ARRAYS}
    for drive, shard in shards.items():
        about = json.loads((shard / "shard.json").read_text())
        pieces["frames"].append(_Piece(shard / "frames.raw"))
        for stride in strides:
            backwards = stride < 0
            for length in about["chains"][str(stride)][::-1 if backwards else 1]:
                seconds = abs(stride) * about["period_s"]
                tracks.append(Track(drive, stride, start, start + length, seconds))
                start += length
            pieces["inputs"].append(_Piece(shard / f"inputs{stride}.raw", backwards))
            pieces["pairs"].append(_Piece(shard / f"pairs{stride}.raw", backwards, frames))
            pieces["motions"].append(_Piece(shard / f"motions{stride}.raw", backwards))
        frames += about["frames"]
    if start == 0:
        raise InputError(f"{out}: the sources hold not one pair of readable consecutive frames with poses; "
                         "check them.")
    digests = [_write_array(out / f"{name}.npy", pieces[name], *kind)
               for name, kind in _kinds(FRONT_ENDS[front_end]).items()]
    return tracks, join_digests(digests)


def _kinds(see: type) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and type of a row of each array, in the order of ARRAYS."""
    motions = {"motions": ((6,), np.float64)}
    if see is StackedFrames:
        return {"frames": ((*see.shape[1:], 3), np.uint8), "pairs": ((2,), np.int64)} | motions
    return {"inputs": (see.shape, see.dtype)} | motions


def _write_array(file: Path, pieces: list[_Piece], shape: tuple[int, ...], dtype: type) -> str:
    """Write the pieces as one .npy file, whole or not at all; its SHA-256."""
    pieces = [piece for piece in pieces if piece.file.exists()]
    item = math.prod(shape) * np.dtype(dtype).itemsize
    length = sum(piece.file.stat().st_size for piece in pieces) // item
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
                                                  "fortran_order": False, "shape": (length, *shape)})
    digest = hashlib.sha256(header.getvalue())
    beside = file.with_name(f".{file.name}")
    try:
        with beside.open("wb") as whole:  # not memory-mapped: a full disk is then an error and not a crash
            whole.write(header.getvalue())
            for piece in pieces:
                for part in _parts(piece, shape, dtype):
                    whole.write(part)
                    digest.update(part)
        os.replace(beside, file)
    finally:
        beside.unlink(missing_ok=True)
    return digest.hexdigest()


def _parts(piece: _Piece, shape: tuple[int, ...], dtype: type) -> Iterator[np.ndarray]:
    """The rows of a piece in the order in which they are wanted, a few megabytes at a time."""
    item = math.prod(shape) * np.dtype(dtype).itemsize
    count = piece.file.stat().st_size // item
    rows = max(1, PART_BYTES // item)
    starts = range(0, count, rows)
    for start in reversed(starts) if piece.backwards else starts:
        numbers = min(rows, count - start) * math.prod(shape)
        part = np.fromfile(piece.file, dtype, numbers, offset=start * item).reshape(-1, *shape)
        if piece.add:
            part += piece.add
        yield np.ascontiguousarray(part[::-1]) if piece.backwards else part
