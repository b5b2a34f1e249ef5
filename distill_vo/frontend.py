"""What the networks see of two consecutive canonical frames.

A front end turns two frames (frame.py) into one array (channels, rows, columns), without batch. DenseFlow
ships, and FineFlow for who has more time; StackedFrames is the paper's own input, for those who train on much
real data.
"""

from functools import lru_cache

import cv2
import numpy as np

from distill_vo.camera import CANONICAL
from distill_vo.frame import CELL, CELL_CENTRES, GRID, ROAD_PIXEL_M, SQUARE, CanonicalFrame, Corners, centres

FASTEST_M, BACKWARDS_M = 4.0, 0.8  # what the coarse match looks for, forwards and backwards
COARSE_PIXEL_M = 4 * ROAD_PIXEL_M  # of the coarse match
COARSE_ASIDE = 2  # of its pixels, to either side
# Width and height in which things are found again, in pixels of half the view or of 0.2 m of road; nine in a
# row cost OpenCV less than seven.
WINDOW = 9, 7
FINE_ROAD_WINDOW = 17, 9  # the same for pixels of 0.1 m of road
FINER = 2  # corners in a cell to each side, and patches of road in one behind each other, of FineFlow
SEEN, CORNER = 4, 5  # channels that networks see; those of a corner, more than of all finer patches in a cell
# Mean difference of a corner's windows, grey levels of `detail`, above which it is another thing.
MOST_UNLIKE = 20.0


class DenseFlow:
    """Optical flow from frame k-1 to frame k: of the view, averaged over cells, of patches of the road seen
    from above, and of one corner in each cell of the view but the nearest ones.

    Flow keeps what rendered and real streets share (geometry) and drops what they do not (looks),
    which is why a network trained on rendered streets works on real ones. Near the car the road moves too
    far and too unevenly for the flow of the view; from above all of it moves alike, by the metres driven.
    Corners are exact, followed in the view without light and shade, which change by themselves. Networks do
    not see them, geometry does (refine.py).
    Sources: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016 (OpenCV's DIS, of the
    view); Bouguet, "Pyramidal Implementation of the Lucas Kanade Feature Tracker", 2001 (how corners and
    patches of road are found again).
    """

    networks_see = "dense_flow"  # the front end of caches that its networks learn from
    whole: str | None = None  # frames that it needs whole, in "grey" or "colour"
    is_flow = True
    # What students say of frame.LOOKS_DOWN by the way they go, rad; None: the camera's pitch does not matter.
    looks_down: float | None = np.radians(1.05)
    dtype = np.float32
    shape = (9, GRID[1], GRID[0])
    # At how many scales corners are followed and in how many steps; by how many times its strength windows of
    # one may differ. Where noise made the corner it is 160 to 220 times, in the whole view from 109 on.
    _scales, _steps, _most_noise = 1, 4, 150.0

    def __init__(self):
        # Views of a quarter the size do, for a flow of half their size: cells are two of its pixels wide.
        self._dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._dis.setFinestScale(1)
        # With fewer patches or iterations a camera's turn is not seen to 0.15 pixels.
        self._dis.setPatchStride(3)
        self._dis.setGradientDescentIterations(16)
        # DIS cuts the image into one stripe a thread and its result depends on the cuts.
        cv2.setNumThreads(1)

    def __call__(self, previous: CanonicalFrame, current: CanonicalFrame) -> np.ndarray:
        """Two frames in grey -> (9, 12, 40) float32.

        u right and v down in canonical pixels, of cells of 16x16; u and v of the road from above, in its
        pixels of 0.1 m, of cells 2 m long and 0.3 m wide, two side by side alike, the farthest row first; x
        and y from the cell's centre, u and v of the corner in each cell of the view, and 1 where there is one
        that was found again.
        """
        view = 4 * _cells(self._dis.calc(previous.quarter, current.quarter, None))
        parts = view, _road_flow(previous, current), self._corners(previous, current, view)
        return np.ascontiguousarray(np.concatenate(parts, axis=2).transpose(2, 0, 1))

    def _corners(self, previous: CanonicalFrame, current: CanonicalFrame, view: np.ndarray) -> np.ndarray:
        return self._moved(previous.corners, previous.detail, current.detail, view)

    def _moved(self, corners: Corners, first: np.ndarray, second: np.ndarray, view: np.ndarray) -> np.ndarray:
        """Where corners of one image went in another, sought where the view's flow of their cells leads.

        (12, 40, 5 for each corner of a cell), in pixels of the view: x and y from the cell's centre, u and v;
        1 where it was found, else 0.
        """
        pixel = CANONICAL.width // first.shape[1]  # of the view
        side = CELL // (SQUARE * pixel)  # squares in a cell
        order = _by_cells(side)[corners.squares]
        cells, out = order // side**2, np.zeros((*view.shape[:2], CORNER * side**2), np.float32)
        if len(cells):
            start = view.reshape(-1, 2)[cells] / pixel
            moved, found, unlike = _followed(first, second, corners.places, start, self._scales, self._steps)
            offset = pixel * corners.places + (pixel - 1) / 2 - _CENTRES[cells]
            alike = unlike < np.minimum(MOST_UNLIKE, self._most_noise * corners.strength[:, None])
            seen = np.concatenate([offset, pixel * moved, found], axis=1)
            out.reshape(-1, CORNER)[order] = np.where(found & alike, seen, 0)
        return out

    @staticmethod
    def flow(x: np.ndarray) -> np.ndarray:
        """What `__call__` gave -> the view's part (2, 12, 40): where things went, canonical pixels."""
        return x[:2]

    @staticmethod
    def moved_px(x: np.ndarray) -> float:
        """How far things moved in the image: the mean of | u | and | v |, canonical pixels."""
        return float(np.abs(x[:2]).mean())


class FineFlow(DenseFlow):
    """DenseFlow for those who have more time. Networks see the same; for geometry there are four times as
    many corners, followed in the whole view, and twice as many patches of road, in pixels of 0.1 m."""

    whole = "grey"
    shape = (SEEN + CORNER * FINER**2 + 2 * FINER, GRID[1], GRID[0])
    _scales, _steps, _most_noise = 2, 8, 100.0

    def __call__(self, previous: CanonicalFrame, current: CanonicalFrame) -> np.ndarray:
        """Two frames in grey, with whole ones -> (28, 12, 40) float32.

        After DenseFlow's first four channels x, y, u, v and 1 of four corners in each cell; then u and v of
        two patches of road in it, the farther one first, in pixels of 0.1 m.
        """
        x = super().__call__(previous, current)
        return np.concatenate([x, _fine_road(previous, current, x[2:SEEN, :, ::2])])

    def _corners(self, previous: CanonicalFrame, current: CanonicalFrame, view: np.ndarray) -> np.ndarray:
        return self._moved(previous.fine_corners, previous.fine_detail, current.fine_detail, view)


def finer_patches_from(channels: int) -> int:
    """The channel from which on a front end gives finer patches of road; `channels` where there are none."""
    return channels - (channels - SEEN) % CORNER


def corners_in(x: np.ndarray) -> np.ndarray:
    """What a front end gave (B, C, 12, 40), array or tensor -> N corners of each cell (B, N, 5, 12, 40)."""
    corners = x[:, SEEN:finer_patches_from(x.shape[1])]
    return corners.reshape(len(x), corners.shape[1] // CORNER, CORNER, *x.shape[2:])


def patches_in(x: np.ndarray) -> np.ndarray:
    """What a front end gave (B, C, 12, 40), array or tensor -> how patches of the road moved (B, 2, 12 or 24,
    20)."""
    finer = x[:, finer_patches_from(x.shape[1]):]
    flow = finer if finer.shape[1] else x[:, 2:SEEN]
    flow = (flow[..., ::2] + flow[..., 1::2]) / 2
    behind = flow.reshape(len(x), -1, 2, *flow.shape[2:])
    return behind.swapaxes(1, 2).swapaxes(2, 3).reshape(len(x), 2, -1, flow.shape[3])


def as_channels(patches: np.ndarray) -> np.ndarray:
    """How patches of the road moved (B, 2, 24, 20) -> the channels (B, 4, 12, 40) of it."""
    behind = patches.reshape(len(patches), 2, GRID[1], -1, patches.shape[3])
    flow = behind.swapaxes(2, 3).swapaxes(1, 2).reshape(len(patches), -1, GRID[1], patches.shape[3])
    return flow[..., _PAIRS]


_PAIRS = np.arange(GRID[0]) // 2


def _road_flow(previous: CanonicalFrame, current: CanonicalFrame) -> np.ndarray:
    """How the road moved, seen from above: what the car drove, in pixels of 0.1 m.

    (12, 40, 2) float32 of cells of the current frame, in pairs alike. Patches of road are followed from frame
    k to frame k-1: what is near now was farther and in view before. One coarse match for all of the road
    comes first, so that they are sought near where they were.
    """
    shift = np.array(_coarse_shift(current.marks, previous.marks), np.float32)
    flow, found, _ = _followed(current.grain, previous.grain, _PATCHES.reshape(-1, 2), shift, scales=2,
                               steps=6)
    flow = np.where(found, flow, shift).reshape(_PATCHES.shape)
    # Against single patches; OpenCV's median takes no two channels.
    flow = cv2.merge([cv2.medianBlur(part, 3) for part in cv2.split(flow)])
    return -2 * flow.repeat(2, axis=1)


def _fine_road(previous: CanonicalFrame, current: CanonicalFrame, flow: np.ndarray) -> np.ndarray:
    """How patches of the road moved, sought where `flow` (2, 12, 20) of `_road_flow` leads.

    (4, 12, 40) float32, in pixels of 0.1 m, two cells side by side alike.
    """
    start = -flow.transpose(1, 2, 0).repeat(FINER, axis=0).reshape(-1, 2)
    moved, found, _ = _followed(current.fine_grain, previous.fine_grain, _FINE_PATCHES.reshape(-1, 2), start,
                                scales=1, steps=8, window=FINE_ROAD_WINDOW)
    moved = -np.where(found, moved, start).reshape(_FINE_PATCHES.shape)
    return as_channels(moved.transpose(2, 0, 1)[None])[0]


def _followed(first: np.ndarray, second: np.ndarray, points: np.ndarray, start: np.ndarray, scales: int,
              steps: int, window: tuple[int, int] = WINDOW) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How what is at points (N, 2) of one image moved to another, in pixels; sought at `start` from there.

    start (N, 2) or (2,) -> flow (N, 2), found (N, 1), mean difference of the windows (N, 1) in grey levels.
    """
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, 0.05)
    end, found, unlike = cv2.calcOpticalFlowPyrLK(
        first, second, points, points + start, winSize=window, maxLevel=scales - 1,
        criteria=until, flags=cv2.OPTFLOW_USE_INITIAL_FLOW)
    return end - points, found == 1, unlike


# One patch of road is followed for every two cells side by side: in road at half the size 3 pixels by 10.
_PATCHES = centres((GRID[0] // 2, GRID[1]), (3, 10)).astype(np.float32)
_FINE_PATCHES = centres((GRID[0] // 2, FINER * GRID[1]), (6, 20 // FINER)).astype(np.float32)


def _coarse_shift(now: np.ndarray, before: np.ndarray) -> tuple[int, int]:
    """The marks of two frames -> where most of the road was before (x, y), in pixels of 0.2 m."""
    ahead, behind = (round(metres / COARSE_PIXEL_M) for metres in (FASTEST_M, BACKWARDS_M))
    likeness = _correlation(before, now[ahead:-behind, COARSE_ASIDE:-COARSE_ASIDE])
    if likeness.max() <= 0:
        return 0, 0  # no marks
    y, x = np.unravel_index(likeness.argmax(), likeness.shape)
    return 2 * (x - COARSE_ASIDE), 2 * (y - ahead)


def _correlation(image: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """Correlation coefficient of a patch with each place of an image; OpenCV's is slow for so few places."""
    rows, columns = patch.shape
    patch = patch - patch.mean()
    down, aside = image.shape[0] - rows + 1, image.shape[1] - columns + 1
    # Each row of the one with each of the other, for each shift aside; then sums over those that meet.
    # NumPy's functions for such views take as long over their arguments as all the rest.
    row, pixel = image.strides
    shifted = np.ndarray((aside, len(image), columns), image.dtype, image, 0, (pixel, row, pixel))
    products = shifted @ patch.T
    shift, row, pixel = products.strides
    meeting = np.ndarray((down, aside, rows), products.dtype, products, 0, (row, shift, row + pixel))
    sums, squares = (total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns]
                     + total[:-rows, :-columns] for total in cv2.integral2(image))
    spread = squares - sums**2 / patch.size
    return meeting.sum(axis=2) / np.sqrt(np.maximum(spread, 1.0) * max((patch**2).sum(), 1.0))


def _cells(flow: np.ndarray) -> np.ndarray:
    """(H, W, 2) -> the means over cells (12, 40, 2)."""
    return cv2.resize(flow, GRID, interpolation=cv2.INTER_AREA)


_CENTRES = CELL_CENTRES.reshape(-1, 2).astype(np.float32)


@lru_cache
def _by_cells(side: int) -> np.ndarray:
    """Of each square of the view, row by row, its number when squares are counted cell by cell; a cell is
    `side` squares wide and high."""
    count = GRID[1], GRID[0], side, side
    return np.arange(np.prod(count)).reshape(count).swapaxes(1, 2).ravel()


class StackedFrames:
    """The two colour frames themselves, one on the other. Source: Wang et al., "DeepVO", ICRA 2017."""

    networks_see = "stacked_frames"
    whole: str | None = "colour"
    is_flow = False
    looks_down: float | None = None
    dtype = np.uint8
    shape = (6, CANONICAL.height, CANONICAL.width)

    def __call__(self, previous: CanonicalFrame, current: CanonicalFrame) -> np.ndarray:
        """Two frames in colour -> (6, 192, 640) uint8."""
        return np.concatenate([previous.whole, current.whole], axis=2).transpose(2, 0, 1).copy()

    @staticmethod
    def flow(x: np.ndarray) -> None:
        """Not known without matching."""

    @staticmethod
    def moved_px(x: np.ndarray) -> float:
        """Not known either: every frame counts as moved."""
        return float("inf")


FRONT_ENDS = {"dense_flow": DenseFlow, "fine_flow": FineFlow, "stacked_frames": StackedFrames}
