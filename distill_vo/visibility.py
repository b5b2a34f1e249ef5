"""How much of the view can be followed from one image to the next: what tells whether a motion is known.

Views are canonical, (192, 640) grey or (192, 640, 3) BGR uint8. They are judged in blocks of 32x32 pixels
after averaging over 2x2 twice, which leaves what a scene shows and takes out what a sensor adds.
"""

import cv2
import numpy as np

from distill_vo.camera import CANONICAL, halved

SHRINK = 4  # halved twice
SIZE = (CANONICAL.width // SHRINK, CANONICAL.height // SHRINK)  # of the averaged view, width first
BLOCKS = (20, 6)
CONTRAST = 2.5  # grey levels of standard deviation that a block must show
LIKENESS = 0.6  # correlation of a block with where the flow says it went


def texture(view: np.ndarray) -> float:
    """Share (0..1) of the blocks in which there is something to follow."""
    small = _shrunk(view)
    return float((_covariance(small, small) > CONTRAST**2).mean())


def followed(previous: np.ndarray, current: np.ndarray, flow: np.ndarray | None) -> float:
    """Share (0..1) of the blocks that hold something and are found where the flow says they went.

    flow (2, rows, columns) in canonical pixels. What left the view does not count. Where a front end does not
    say where things went (None) it is the share with texture in the poorer of both views.
    """
    if flow is None:
        return min(texture(previous), texture(current))
    a, b = _shrunk(previous), _shrunk(current)
    to = _PLACES + cv2.resize(np.ascontiguousarray(flow.transpose(1, 2, 0)), SIZE) / SHRINK
    b = cv2.remap(b, to, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.inRange(to, (0, 0), (SIZE[0] - 1, SIZE[1] - 1))  # 255 where it is
    inside = _mean(inside) > 0.9 * 255
    of_a, of_b, of_both = _covariance(a, a), _covariance(b, b), _covariance(a, b)
    # Where both hold something, the root is of a positive number.
    alike = (np.minimum(of_a, of_b) > CONTRAST**2) & (of_both > LIKENESS * np.sqrt(np.abs(of_a * of_b)))
    return float((alike & inside).sum() / max(inside.sum(), 1))


_PLACES = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in SIZE)), -1)


def _shrunk(view: np.ndarray) -> np.ndarray:
    grey = view if view.ndim == 2 else cv2.cvtColor(view, cv2.COLOR_BGR2GRAY)
    return halved(halved(grey)).astype(np.float32)


def _mean(values: np.ndarray) -> np.ndarray:
    return cv2.resize(values, BLOCKS, interpolation=cv2.INTER_AREA)


def _covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Covariance of two averaged views in each block, (6, 20), grey levels squared."""
    return _mean(a * b) - _mean(a) * _mean(b)
