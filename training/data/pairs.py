"""Pairs of a drive's frames and how the camera moved between them, as the frames come in."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from distill_vo import geometry
from distill_vo.camera import CANONICAL, Camera
from training.data.drives import TrueFrame


class Pair(NamedTuple):
    """Two frames `stride` apart, in the order in which a network sees them."""

    stride: int  # negative: the later frame comes first
    first: TrueFrame
    second: TrueFrame
    motion: np.ndarray  # (6,) as the canonical camera, at its height above the road, would have moved
    chained: bool  # begins (backwards: ends) where the pair before it with this stride ended


def pair_up(camera: Camera, frames: Iterable[TrueFrame], strides: Iterable[int]) -> Iterator[Pair]:
    """All pairs of the strides, those of one stride end to end: 0-2, 2-4, ...

    Where a frame is missing the chain of those pairs that needed it ends, and a new one begins with the
    next frame. No more frames are held than there are strides.
    """
    # What a camera twice as high sees on the road looks the same when it moves twice as far.
    scale = np.array([CANONICAL.mount_height_m / camera.mount_height_m] * 3 + [1.0] * 3)
    last: dict[int, TrueFrame] = {}
    chained = dict.fromkeys(strides, False)
    for frame in frames:
        for stride in chained:
            gap = frame.number - last[stride].number if stride in last else None
            if gap is not None and gap < abs(stride):
                continue
            if gap == abs(stride):
                first, second = (last[stride], frame) if stride > 0 else (frame, last[stride])
                motion = geometry.to_motion(geometry.inverse(first.pose) @ second.pose) * scale
                yield Pair(stride, first, second, motion, chained[stride])
            chained[stride] = gap == abs(stride)
            last[stride] = frame
