"""What geometry says to the student's motion: corners are seen along epipolar lines, and the road is a plane.

The student takes in the whole view and is seldom far off, but each of its numbers is a guess; single corners
are followed to a fraction of a pixel. So its motion is the prior, its sigma how far it is believed, and the
most probable motion is found by a few Gauss-Newton steps over corners (with Cauchy's weights, against what
moves by itself) and the lane ahead (with Geman and McClure's, which drop what is far off: a road without any
texture looks like one that moves anyhow). Where geometry says nothing the motion stays the student's.
Sources: Hartley, Zisserman, "Multiple View Geometry in Computer Vision", 2004, sections 11.4.3 (the Sampson
distance from the epipolar line) and 13.1 (planes), A6.8 (weights); the constants are measured on rendered
streets.
"""

import math
from functools import lru_cache

import numpy as np

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.frame import (
    CELL_CENTRES,
    DOWN_IS_NEARER,
    HORIZON_ROW,
    LOOKS_DOWN,
    ROAD_PIXEL_M,
    road_centres,
    seen_on_road,
)
from distill_vo.frontend import corners_in, patches_in

# Steps with robust weights fall short: each is made longer by as much as the one before fell short, up to so
# many times; the first by that much. Source: Irons, Tuck, "A version of the Aitken accelerator for computer
# iteration", International Journal for Numerical Methods in Engineering, 1969.
MOST_STEPS, LONGEST = 8, 1.8
CLOSE = 0.5  # sigma of what is refined; after a step as short as this, about a fifth of it is left to go
WAY_DOUBT, ROTATION_DOUBT = 1.5, 4.0  # times its sigma is how far the network is believed beside geometry
# One sigma, share of the way: networks learned on views that look along it, and the odometry's do so to a
# third of a degree. Were they believed, no camera's yaw would ever be seen.
ASIDE = 0.005
CORNER_PX = 0.15  # one sigma at the horizon
# So far below the horizon it is larger by the square root of two, and so on: near things change their looks,
# and kerbs and lines that run along a bend look as if the car did not turn. Of one corner in each cell; where
# there are four, each is of a window half as large, which changes half as much.
DEFORMED_PX = 5.0
# Half width and half height of the view straight ahead, where others drive; how much a corner counts there.
AHEAD_PX, AHEAD_SHARE = (15.0, 25.0), 0.2
LEAST_WAY_M = 0.02  # on a shorter way epipolar lines tell little
# The lane lies to either side of straight ahead, as bent as the way is now, until it has turned so far. All
# around kerbs, cars and hedges rise above the road and seem to move faster.
LANE_M, LANE_RAD = 1.6, 0.75
SHARPEST = 0.1  # rad/m; sharper bends are taken for it, so that the nearest patches, 7 m ahead, stay in
BEND_M = 0.2  # on a shorter way there is no telling how bent it is
ROAD_X_M, ROAD_Z_M, ROAD_Z_BY_SQUARE = 0.1, 0.03, 0.0003  # one sigma; the last times the distance squared
ROAD_ALIKE = 1.5  # how many patches err together
LEAST_SURE = 0.1  # one sigma is at least this share of what was corrected
NEAREST_M = 1.0  # in front of the camera; nearer things are not seen
PLANE_RAD = np.radians([0.3, 0.5])  # one sigma of the road's pitch and roll against the view's


def refine(x: np.ndarray, motion: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What DenseFlow or FineFlow gives of a pair, the student's motion and sigma (6,) -> the refined ones.

    Metres and radians, camera optical axes, k-1 -> k, at the training camera's height.
    """
    x = x[None].astype(float)
    sigma = sigma.copy()
    sigma[0] = math.hypot(sigma[0], ASIDE * motion[2])
    t0, R0 = motion[:3], geometry.rotation_exp(motion[3:])
    corners, lane = _Corners(corners_in(x)[0], t0), _Lane(patches_in(x)[0], motion)
    prior = np.diag(np.concatenate([1 / (_DOUBT * sigma)**2, 1 / PLANE_RAD**2]))
    change = np.zeros(8)  # of translation, rotation (on the left), road's pitch and roll
    step = went = np.zeros(8)
    t, R = t0, R0
    for _ in range(MOST_STEPS):
        terms = _terms(t, R, change[6:])
        sums = lane.sums(terms)
        sums[:7, :7] += corners.sums(terms)
        H = sums[1:, 1:] + prior
        covariance = np.linalg.inv(H)
        last, step = step, -covariance @ (sums[1:, 0] + prior @ change)
        went = step * _times(H, went, step - last)
        change = change + went
        t, R = t0 + change[:3], geometry.rotation_exp(change[3:6]) @ R0
        if step @ H @ step < CLOSE**2:
            break
    change = change[:6]
    refined = np.concatenate([t, geometry.rotation_log(R)])
    # A motion that nothing speaks against is not less certain for having been doubted.
    variance = np.minimum(covariance.diagonal()[:6], sigma**2)
    # Where it is farther from the student's than sigma allows, one of the two is wrong by more than it says.
    surprise = max(((change / sigma)**2).mean(), 1.0)
    return refined, np.maximum(np.sqrt(variance * surprise), LEAST_SURE * np.abs(change))


def _times(H: np.ndarray, went: np.ndarray, change: np.ndarray) -> float:
    """How many times longer a step is to be: by `change` (8,) it differs from the one before, since one went
    so far as `went` (8,); lengths are measured by H (8, 8)."""
    along = H @ went
    share = -(along @ change) / (along @ went + 1e-300)  # of what was left, that a step takes away
    return 1 / min(max(share, 1 / LONGEST), 1.0)


class _Corners:
    """Corners that were found again: products of their rays, of the first with the second one of each corner
    (9, N), and of both with themselves (18, N)."""

    def __init__(self, x: np.ndarray, t0: np.ndarray):
        """x (N, 5, 12, 40) of corners and the network's translation (3,)."""
        count, x = len(x), x.swapaxes(0, 1).reshape(5, -1)
        there = np.flatnonzero(x[4])
        x = x[:, there]
        begin = _CELLS[:, there % _CELLS.shape[1]] + x[:2]
        aside, below = begin[0] - CANONICAL.cx, begin[1] - HORIZON_ROW
        in_front = (np.abs(aside) < AHEAD_PX[0]) & (np.abs(below) < AHEAD_PX[1])
        # A corner's window is as much smaller as there are more of them to each side of a cell.
        deformed = np.maximum(below, 0) / (DEFORMED_PX * math.sqrt(count))
        self._variance = CORNER_PX**2 * (1 + deformed**2)  # pixels squared
        way_squared = t0 @ t0
        share = np.where(in_front, AHEAD_SHARE, 1.0)
        self._found = x[4] * share * (way_squared / (way_squared + LEAST_WAY_M**2))  # 0..1
        first, second = _rays(begin), _rays(begin + x[2:4])
        self._both = CANONICAL.fx * _products(first, second)
        self._alone = np.concatenate([_products(second, second), _products(first, first)])

    def sums(self, terms: np.ndarray) -> np.ndarray:
        """`_terms` of a motion -> (7, 7), J' W J: the first column of J is the error, the pixels by which
        corners miss epipolar lines, the others how it changes with translation and rotation."""
        E = (terms @ _EPIPOLAR).reshape(7, 3, 3)
        across = E.reshape(7, 9) @ self._both
        # Squares of the lines' normals in frame k-1 and in k, and half their changes.
        of_second = E[0, :2].T @ E[:, :2]
        of_first = E[0, :, :2] @ E[:, :, :2].swapaxes(1, 2)
        squared = np.concatenate([of_second, of_first], axis=1).reshape(7, 18) @ self._alone
        length_squared = np.maximum(squared[0], 1e-12)
        squared[0] = 0.0  # the first row is the error itself
        # The distance changes with its denominator too; without that the way is drawn to where most corners
        # are.
        rows = (across - across[0] / length_squared * squared) / np.sqrt(length_squared)
        weight = self._found / (self._variance + rows[0]**2)
        return (rows * weight) @ rows.T


class _Lane:
    """Patches of the road in the lane, and where they were seen before."""

    def __init__(self, moved: np.ndarray, motion: np.ndarray):
        """How patches moved (2, rows, columns), pixels of 0.1 m, and the network's motion (6,)."""
        ground, road, sigma_below = _patches(*moved.shape[1:])
        here = np.flatnonzero(_in_lane(motion, ground))
        self._road = road[:, here]  # (3, N) metres
        before = ground[:, here] - _METRES * moved.reshape(2, -1)[:, here]
        z = np.maximum(before[1], NEAREST_M)
        self._before = _rays(np.stack(seen_on_road(before[0], z)))[:2]
        self._per_sigma = np.stack([z / ROAD_X_M, z**2 / sigma_below[here]])  # (2, N)

    def sums(self, terms: np.ndarray) -> np.ndarray:
        """`_terms` of a motion -> (9, 9), J' W J: the first column of J is the error, by how many sigma the
        road was seen elsewhere, the others how it changes with translation, rotation, the road's pitch and
        roll."""
        seen = ((terms @ _HOMOGRAPHY).reshape(27, 3) @ self._road).reshape(9, 3, -1)
        depth = np.maximum(seen[0, 2], NEAREST_M)
        at = seen[0, :2] / depth
        rows = (seen[:, :2] - at * seen[:, 2:]) * (self._per_sigma / depth)
        rows[0] = error = (at - self._before) * self._per_sigma
        weight = 1 / (ROAD_ALIKE * (1 + (error**2).sum(0) / 2)**2)
        weighted = (rows * weight).reshape(9, -1)
        return weighted @ rows.reshape(9, -1).T


def _in_lane(motion: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Which places (2, N), metres to the right and ahead, lie in the lane (N,); motion (6,), m and rad,
    optical axes."""
    way, turn = motion[2], motion[4]
    bend = turn * way / max(way**2, BEND_M**2)  # rad/m, to the right
    bend = max(min(bend, SHARPEST), -SHARPEST)
    aside, ahead = ground
    return (np.abs(aside - bend * ahead**2 / 2) < LANE_M) & (abs(bend) * ahead < LANE_RAD)


def _products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Rays (3, N) -> products of each component of the one with each of the other (9, N)."""
    return (first[:, None] * second).reshape(9, -1)


def _rays(pixels: np.ndarray) -> np.ndarray:
    """(2, N) -> (3, N), z = 1."""
    rays = np.ones((3, pixels.shape[1]))
    rays[:2] = (pixels - _CENTRE) / _FOCAL
    return rays


_DOUBT = np.array([WAY_DOUBT] * 3 + [ROTATION_DOUBT] * 3)
_CELLS = CELL_CENTRES.reshape(-1, 2).T  # (2, 480) pixels
_METRES = ROAD_PIXEL_M * DOWN_IS_NEARER[:, None]  # by which the road moved, to the right and ahead
_CENTRE = np.array([[CANONICAL.cx], [CANONICAL.cy]])
_FOCAL = np.array([[CANONICAL.fx], [CANONICAL.fy]])
# The road's normal over its distance, and (2, 3) how it changes with pitch and roll, to first order.
_NORMAL = np.array([0, np.cos(LOOKS_DOWN), np.sin(LOOKS_DOWN)]) / CANONICAL.mount_height_m
_NORMAL_BY_PLANE = np.array([[0, -np.sin(LOOKS_DOWN), np.cos(LOOKS_DOWN)],
                             [1.0, 0, 0]]) / CANONICAL.mount_height_m
_TURNS = geometry.skew(np.eye(3))  # how rotations change about each axis


@lru_cache
def _patches(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of as many patches of the road (N): where they are, metres to the right and ahead (2, N); in the view's
    axes (3, N), metres; one sigma of how far below the horizon they are seen, times the squared distance."""
    ground = road_centres(rows, columns).reshape(-1, 2).T
    road = _rays(np.stack(seen_on_road(*ground)))
    sigma_below = CANONICAL.mount_height_m * (ROAD_Z_M + ROAD_Z_BY_SQUARE * ground[1]**2)
    return ground, road / (_NORMAL @ road), sigma_below


def _terms(t: np.ndarray, R: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Translation (3,), rotation (3, 3), the road's pitch and roll (2,) -> (48,): products of (1, t) with
    (1, plane, R), in which essential matrices and homographies are linear."""
    a, b = np.ones((4, 1)), np.ones(12)
    a[1:, 0], b[1:3], b[3:] = t, plane, R.ravel()
    return (a * b).ravel()


def _epipolar(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(1, t) and (1, plane, R) -> (N, 7 * 3 * 3): the essential matrix, and its changes by t and rotation."""
    one, t, R = a[:, :1, None, None], geometry.skew(a[:, 1:])[:, None], b[:, 3:].reshape(-1, 1, 3, 3)
    E = np.concatenate([t @ R, one * _TURNS @ R, t @ _TURNS @ R], axis=1)
    return E.reshape(len(a), -1)


def _homography(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(1, t) and (1, plane, R) -> (N, 9 * 3 * 3): the road's homography, and its changes by t, rotation and
    plane."""
    one, t, R = a[:, :1, None, None], a[:, None, 1:, None], b[:, 3:].reshape(-1, 1, 3, 3)
    normal = (b[:, :1] * _NORMAL + b[:, 1:3] @ _NORMAL_BY_PLANE)[:, None, None]
    by_t = one * np.eye(3)[:, :, None] * normal
    by_plane = t * b[:, :1, None, None] * _NORMAL_BY_PLANE[:, None]
    H = np.concatenate([one * R + t * normal, by_t, one * _TURNS @ R, by_plane], axis=1)
    return H.reshape(len(a), -1)


# Both are bilinear: their values of all pairs of unit vectors are the matrices for `_terms`.
_UNITS = np.eye(4).repeat(12, axis=0), np.tile(np.eye(12), (4, 1))
_EPIPOLAR, _HOMOGRAPHY = _epipolar(*_UNITS), _homography(*_UNITS)
