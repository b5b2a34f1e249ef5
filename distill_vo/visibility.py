"""How much of the view can be followed from one image to the next: what tells whether a motion is known.

Frames are judged in blocks of 32x32 pixels of their views, at a quarter of the size, which leaves what a
scene shows and takes out what a sensor adds.
"""

import cv2
import numpy as np

from distill_vo.camera import CANONICAL
from distill_vo.frame import CanonicalFrame

SHRINK = 4
SIZE = (CANONICAL.width // SHRINK, CANONICAL.height // SHRINK)  # of a quarter, width first
BLOCKS = (20, 6)
CONTRAST = 2.5  # grey levels of standard deviation that a block must show
LIKENESS = 0.6  # correlation of a block with where the flow says it went


def texture(frame: CanonicalFrame) -> float:
    """Share (0..1) of the blocks in which there is something to follow."""
    small = frame.quarter.astype(np.float32)
    return float((_mean(small**2) - _mean(small) ** 2 > CONTRAST**2).mean())


def followed(previous: CanonicalFrame, current: CanonicalFrame, flow: np.ndarray | None) -> float:
    """Share (0..1) of the blocks that hold something and are found where the flow says they went.

    flow (2, rows, columns) in canonical pixels. What left the view does not count. Where a front end does not
    say where things went (None) it is the share with texture in the poorer of both views.
    """
    if flow is None:
        return min(texture(previous), texture(current))
    a, b = previous.quarter.astype(np.float32), current.quarter.astype(np.float32)
    to = _PLACES + cv2.resize(np.ascontiguousarray(flow.transpose(1, 2, 0)), SIZE) / SHRINK
    b = cv2.remap(b, to, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.inRange(to, (0, 0), (SIZE[0] - 1, SIZE[1] - 1))  # 255 where it is
    inside = _mean(inside) > 0.9 * 255
    mean_a, mean_b = _mean(a), _mean(b)
    of_a, of_b, of_both = _mean(a * a) - mean_a**2, _mean(b * b) - mean_b**2, _mean(a * b) - mean_a * mean_b
    # Where both hold something, the root is of a positive number.
    alike = (np.minimum(of_a, of_b) > CONTRAST**2) & (of_both > LIKENESS * np.sqrt(np.abs(of_a * of_b)))
    return float((alike & inside).sum() / max(inside.sum(), 1))


_PLACES = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in SIZE)), -1)


def _mean(values: np.ndarray) -> np.ndarray:
    """(48, 160) -> the means over blocks (6, 20)."""
    return cv2.resize(values, BLOCKS, interpolation=cv2.INTER_AREA)
