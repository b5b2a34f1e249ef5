"""One canonical view and what is made of it: smaller ones, its corners, and its road seen from above."""

from functools import cached_property

import cv2
import numpy as np

from distill_vo.camera import CANONICAL

CELL = 16  # pixels a side
GRID = (CANONICAL.width // CELL, CANONICAL.height // CELL)  # columns, rows
LEAST_CORNER = 2e-3  # smaller eigenvalue of its gradients; what is below it slides along its edge

# The road from above, as a canonical camera sees it that looks down by 1.1 degrees, as KITTI's does.
LOOKS_DOWN = np.radians(1.1)
HORIZON_ROW = CANONICAL.cy - CANONICAL.fy * np.tan(LOOKS_DOWN)
ROAD_PIXEL_M = 0.1
ROAD_AHEAD_M = (6.0, 30.0)
ROAD_ASIDE_M = 6.0
MARK = 5  # pixels of 0.4 m, 2 m: what stays as bright for longer ahead is no mark
LIGHT = 15  # pixels of 0.2 m; what is larger than 3 m is light and shade
GRAIN_CONTRAST = 2.0  # how much stronger the rest is made; roads are faint


class CanonicalFrame:
    """A view, (192, 640) grey or (192, 640, 3) BGR uint8; each part is made once, when it is first used."""

    def __init__(self, view: np.ndarray):
        self.view = view

    @cached_property
    def grey(self) -> np.ndarray:
        """(192, 640) uint8."""
        return self.view if self.view.ndim == 2 else cv2.cvtColor(self.view, cv2.COLOR_BGR2GRAY)

    @cached_property
    def half(self) -> np.ndarray:
        """(96, 320) uint8, grey."""
        return halved(self.grey)

    @cached_property
    def quarter(self) -> np.ndarray:
        """(48, 160) uint8, grey."""
        return halved(self.half)

    @cached_property
    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """The best corner of each cell, (12, 40, 2) x and y from its centre in pixels of `half`, and whether
        it is one (12, 40). Source: Shi, Tomasi, "Good Features to Track", CVPR 1994."""
        (columns, rows), side = GRID, CELL // 2
        strength = cv2.cornerMinEigenVal(self.half, 3)
        strength = strength.reshape(rows, side, columns, side).transpose(0, 2, 1, 3).reshape(-1, side**2)
        best = strength.argmax(1)
        is_corner = strength[np.arange(len(best)), best] > LEAST_CORNER
        return _IN_CELL[best].reshape(rows, columns, 2), is_corner.reshape(rows, columns)

    @cached_property
    def road(self) -> np.ndarray:
        """(120, 60) uint8: the road 30 to 6 m ahead and 6 m to either side from above, in pixels of 0.2 m."""
        return halved(cv2.remap(self.grey, *_ROAD_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    @cached_property
    def grain(self) -> np.ndarray:
        """(120, 60) uint8: what of the road is smaller than light and shade, about 128."""
        light = cv2.blur(self.road, (LIGHT, LIGHT))
        return cv2.addWeighted(self.road, GRAIN_CONTRAST, light, -GRAIN_CONTRAST, 128)

    @cached_property
    def marks(self) -> np.ndarray:
        """(60, 30) float32: what of the road tells how far one went, in pixels of 0.4 m.

        Not kerbs, lines and shade, which run along and look alike all the way.
        """
        small = halved(self.road).astype(np.float32)
        return small - cv2.blur(small, (1, MARK))


def halved(image: np.ndarray) -> np.ndarray:
    """An image of even sides at half the size: the means of 2x2 pixels."""
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def seen_on_road(x, z) -> tuple:
    """Column and row at which the road is seen x m to the right and z m ahead (arrays or tensors)."""
    return (CANONICAL.cx + CANONICAL.fx * x / z,
            HORIZON_ROW + CANONICAL.fy * CANONICAL.mount_height_m / z)


def centres(grid: tuple[int, int], sides: tuple[int, int]) -> np.ndarray:
    """(rows, columns, 2): x and y of the centres of cells with such sides, pixels."""
    x, y = ((np.arange(count) + 0.5) * side - 0.5 for count, side in zip(grid, sides, strict=True))
    return np.stack(np.meshgrid(x, y), -1)


def _road_map() -> tuple[np.ndarray, np.ndarray]:
    near, far = ROAD_AHEAD_M
    z = np.arange(far, near, -ROAD_PIXEL_M)[:, None] - ROAD_PIXEL_M / 2
    x = np.arange(-ROAD_ASIDE_M, ROAD_ASIDE_M, ROAD_PIXEL_M)[None] + ROAD_PIXEL_M / 2
    columns, rows = np.broadcast_arrays(*seen_on_road(x, z))
    return cv2.convertMaps(columns.astype(np.float32), rows.astype(np.float32), cv2.CV_16SC2)


def _road_cells() -> np.ndarray:
    """(12, 40, 2): centres of the cells of the road from above, metres to the right and ahead."""
    columns, rows = GRID
    aside = np.linspace(-ROAD_ASIDE_M, ROAD_ASIDE_M, 2 * columns + 1)[1::2]
    ahead = np.linspace(*ROAD_AHEAD_M[::-1], 2 * rows + 1)[1::2]
    return np.stack(np.meshgrid(aside, ahead), -1)


CELL_CENTRES, ROAD_CELLS = centres(GRID, (CELL, CELL)), _road_cells()
DOWN_IS_NEARER = np.array([1.0, -1.0])  # what moves down the view from above comes nearer
_ROAD_MAP = _road_map()
# Of each pixel of a cell of `half`, row by row, x and y from the cell's centre.
_IN_CELL = centres(2 * (CELL // 2,), (1, 1)).reshape(-1, 2) - (CELL // 2 - 1) / 2
