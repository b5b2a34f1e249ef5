"""Images as the networks' one pinhole sees them: its view at half the size and smaller, the corners in it,
and its road seen from above."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import cv2
import numpy as np

from distill_vo.camera import CANONICAL, Camera
from distill_vo.errors import InputError

# Some builds of OpenCV have Intel's IPP. On images this small it takes longer, and it rounds otherwise.
cv2.ipp.setUseIPP(False)

CELL = 16  # pixels a side
SQUARE = 8  # pixels a side, in which there is one corner
GRID = (CANONICAL.width // CELL, CANONICAL.height // CELL)  # columns, rows
NEAR = GRID[1] - 2  # from this row of cells on, nearer than 8 m, corners of `detail` deform too much to help
# Smaller eigenvalue of gradients; what is below it slides along its edge. `fine_detail` has more noise.
LEAST_CORNER, FINE_LEAST_CORNER = 2e-3, 6e-3

# The road from above, as a canonical camera sees it that looks down by 1.1 degrees, as KITTI's does.
LOOKS_DOWN = np.radians(1.1)
HORIZON_ROW = CANONICAL.cy - CANONICAL.fy * np.tan(LOOKS_DOWN)
ROAD_PIXEL_M = 0.1
ROAD_AHEAD_M = (6.0, 30.0)
ROAD_ASIDE_M = 6.0
MARK = 5  # pixels of 0.4 m, 2 m: what stays as bright for longer ahead is no mark
LIGHT = 15  # pixels of 0.2 m; what is larger than 3 m is light and shade
FARTHEST_APART = 1.2  # pixels; what is sampled at places farther apart goes unseen between them
WIDEST, NOWHERE = 10.0, -1e4  # tangent of 84 degrees; a pixel that no image has
SHADE = 9  # pixels of half the view; what is larger is light and shade
CONTRAST = 2  # how much stronger the rest is made


class CanonicalView:
    """What one camera's images show of CANONICAL, undistorted.

    Camera and canonical view share their centre; rotation (3, 3) is from the camera's axes to the view's.
    whole: whole frames are wanted too, in "grey" or in "colour".
    """

    def __init__(self, camera: Camera, whole: Literal["grey", "colour"] | None = None,
                 rotation: np.ndarray | None = None):
        self.camera, self.whole = camera, whole
        self.rotation = np.eye(3) if rotation is None else rotation
        lens = cv2.fisheye if camera.model == "equidistant" else cv2
        distortion = np.array(camera.distortion or (0.0,) * 4)
        xy = np.stack(lens.initUndistortRectifyMap(camera.K, distortion, self.rotation, CANONICAL.K,
                                                   (CANONICAL.width, CANONICAL.height), cv2.CV_32F), axis=-1)
        if distortion.any():
            xy[_folded(lens, distortion, self.rotation)] = NOWHERE
        inside = (xy >= -0.5) & (xy <= (camera.width - 0.5, camera.height - 0.5))
        self.coverage = float(inside.all(axis=-1).mean())
        """Share of the canonical field of view (0..1) that this camera sees."""
        if self.coverage < 0.25:
            raise InputError(f"camera calibration: only {self.coverage:.0%} of the view the student was "
                             "trained on is seen by this camera; check width, height and camera matrix, and "
                             "whether it looks ahead.")
        shrink = min(camera.fx, camera.fy) / CANONICAL.fx
        on_road = cv2.remap(xy, *_ROAD_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self._half, self._road = _Sampling(halved(xy), 2 * shrink), _Sampling(on_road, shrink)
        self._whole = _Sampling(xy, shrink) if whole else None
        if min(camera.width, camera.height) >> self._half.level == 0:
            raise InputError(f"camera calibration: focal lengths {camera.fx}, {camera.fy} are far too long "
                             f"for images of {camera.width}x{camera.height}; is the camera calibrated?")

    def __call__(self, image: np.ndarray) -> "CanonicalFrame":
        """Image (H, W) grey or (H, W, 3) BGR, uint8, of the camera's size.

        Raises InputError where the image is not of the calibrated size.
        """
        if image.shape[:2] != (self.camera.height, self.camera.width):
            raise InputError(f"image: is {image.shape[1]}x{image.shape[0]} but its calibration says "
                             f"{self.camera.width}x{self.camera.height}; calibrate at the size in use.")
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        pyramid = _pyramid(grey, max(self._half.level, self._road.level))
        whole = None
        if self.whole == "grey":
            whole = self._whole(pyramid)
        elif self.whole:
            image = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
            whole = self._whole(_pyramid(image, self._whole.level))
        return CanonicalFrame(self._half(pyramid), self._road(pyramid), whole)


def _folded(lens, distortion: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Which pixels of a view (192, 640) lie so far off the camera's optical axis that the distortion is none
    there: its polynomial turns back, and things would be seen twice."""
    ray = np.zeros((1, 1000, 3))
    ray[..., 0], ray[..., 2] = np.linspace(0, WIDEST, ray.shape[1]), 1
    x = lens.projectPoints(ray, np.zeros(3), np.zeros(3), np.eye(3), distortion)[0].reshape(-1, 2)[:, 0]
    folds = np.flatnonzero(np.diff(x) <= 0)
    widest = ray[0, folds[0], 0] if len(folds) else WIDEST
    pixels = centres((CANONICAL.width, CANONICAL.height), (1, 1))
    rays = np.pad((pixels - CANONICAL.K[:2, 2]) / CANONICAL.fx, ((0, 0), (0, 0), (0, 1)), constant_values=1)
    x, y, z = np.moveaxis(rays @ rotation, -1, 0)
    return np.hypot(x, y) > widest * z


class _Sampling:
    """Takes an image's values at xy (rows, columns, 2), float32 pixels, which lie so many pixels apart."""

    def __init__(self, xy: np.ndarray, apart: float):
        # Bilinear sampling skips pixels when it shrinks: of the pyramid take what is small enough.
        self.level = max(0, math.ceil(math.log2(apart / FARTHEST_APART)))
        self._map = cv2.convertMaps((xy + 0.5) / 2**self.level - 0.5, None, cv2.CV_16SC2)

    def __call__(self, pyramid: list[np.ndarray]) -> np.ndarray:
        return cv2.remap(pyramid[self.level], *self._map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _pyramid(image: np.ndarray, levels: int) -> list[np.ndarray]:
    """The image, and so many more, each at half the size of the one before."""
    images = [image]
    for _ in range(levels):
        rows, columns = (side // 2 * 2 for side in images[-1].shape[:2])
        images.append(halved(images[-1][:rows, :columns]))
    return images


@dataclass(eq=False)
class CanonicalFrame:
    """half (96, 320): the view at half the size. road (240, 120): it from above, 30 to 6 m ahead and 6 m to
    either side, in pixels of 0.1 m. Both uint8, grey. whole (192, 640) grey or (192, 640, 3) BGR, uint8,
    where it is wanted.

    What is made of them is made once, when it is first used. `detail` and `grain` are what of view and road
    is smaller than light and shade, about 128; uint8.
    """

    half: np.ndarray
    road: np.ndarray
    whole: np.ndarray | None = None

    @cached_property
    def quarter(self) -> np.ndarray:
        """(48, 160) uint8, grey."""
        return halved(self.half)

    @cached_property
    def detail(self) -> np.ndarray:
        """(96, 320), of `half`."""
        return _detail(self.half, SHADE)

    @cached_property
    def fine_detail(self) -> np.ndarray:
        """(192, 640), of `whole`, which is grey."""
        return _detail(self.whole, 2 * SHADE)

    @cached_property
    def corners(self) -> "Corners":
        """Of `detail`, in each cell but the nearest ones."""
        return _best_corners(self.detail[:NEAR * SQUARE], LEAST_CORNER)

    @cached_property
    def fine_corners(self) -> "Corners":
        """Of `fine_detail`, in each quarter of a cell."""
        return _best_corners(self.fine_detail, FINE_LEAST_CORNER)

    @cached_property
    def coarse_road(self) -> np.ndarray:
        """(120, 60) uint8: the road in pixels of 0.2 m."""
        return halved(self.road)

    @cached_property
    def grain(self) -> np.ndarray:
        """(120, 60), of the road in pixels of 0.2 m."""
        return _detail(self.coarse_road, LIGHT)

    @cached_property
    def fine_grain(self) -> np.ndarray:
        """(240, 120), of `road`."""
        return _detail(self.road, 2 * LIGHT)

    @cached_property
    def marks(self) -> np.ndarray:
        """(60, 30) float32: what of the road tells how far one went, in pixels of 0.4 m.

        Not kerbs, lines and shade, which run along and look alike all the way.
        """
        small = halved(self.coarse_road).astype(np.float32)
        return small - cv2.blur(small, (1, MARK))


class Corners(NamedTuple):
    """The best corner of each square of 8x8 pixels of an image that has one."""

    squares: np.ndarray  # (N,) row by row
    places: np.ndarray  # (N, 2) float32, pixels of that image
    strength: np.ndarray  # (N,) the root of the smaller eigenvalue of the gradients


def _best_corners(detail: np.ndarray, least: float) -> Corners:
    """Those whose smaller eigenvalue is larger than `least`.

    Source: Shi, Tomasi, "Good Features to Track", CVPR 1994.
    """
    rows, columns = grid = tuple(length // SQUARE for length in detail.shape)
    # Reflected at the border an edge would be a corner.
    strength = cv2.cornerMinEigenVal(detail, 3, borderType=cv2.BORDER_REPLICATE)
    strength = strength.reshape(rows, SQUARE, columns, SQUARE).transpose(0, 2, 1, 3).reshape(-1, SQUARE**2)
    best = strength.argmax(1)
    strength = strength[np.arange(len(best)), best]
    squares = np.flatnonzero(strength > least)
    places = _first_pixels(grid)[squares] + _IN_SQUARE[best[squares]]
    return Corners(squares, places, np.sqrt(strength[squares]))


@lru_cache
def _first_pixels(grid: tuple[int, int]) -> np.ndarray:
    """x and y of the first pixel of each of so many squares (rows, columns), row by row."""
    rows, columns = np.indices(grid).reshape(2, -1)
    return SQUARE * np.stack([columns, rows], -1).astype(np.float32)


def _detail(image: np.ndarray, side: int) -> np.ndarray:
    light = cv2.blur(image, (side, side), borderType=cv2.BORDER_REPLICATE)
    return cv2.addWeighted(image, CONTRAST, light, -CONTRAST, 128)


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
    return columns.astype(np.float32), rows.astype(np.float32)


def road_centres(rows: int, columns: int) -> np.ndarray:
    """(rows, columns, 2): centres of so many cells of the road from above, metres to the right and ahead."""
    aside = np.linspace(-ROAD_ASIDE_M, ROAD_ASIDE_M, 2 * columns + 1)[1::2]
    ahead = np.linspace(*ROAD_AHEAD_M[::-1], 2 * rows + 1)[1::2]
    return np.stack(np.meshgrid(aside, ahead), -1)


CELL_CENTRES = centres(GRID, (CELL, CELL))
DOWN_IS_NEARER = np.array([1.0, -1.0])  # what moves down the view from above comes nearer
_ROAD_MAP = _road_map()
# Of each pixel of a square, row by row, x and y.
_IN_SQUARE = centres(2 * (SQUARE,), (1, 1)).reshape(-1, 2).astype(np.float32)
