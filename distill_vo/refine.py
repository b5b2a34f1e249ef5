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

import numpy as np

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.frontend import (
    CELL_CENTRES,
    DOWN_IS_NEARER,
    HORIZON_ROW,
    LOOKS_DOWN,
    ROAD_CELLS,
    ROAD_PIXEL_M,
    seen_on_road,
)

STEPS, RELAXATION = 4, 1.5  # steps with robust weights fall short by about half of what is left
WAY_DOUBT, ROTATION_DOUBT = 1.5, 4.0  # times its sigma is how far the network is believed beside geometry
CORNER_PX = 0.15  # one sigma at the horizon
# So far below the horizon it is larger by the square root of two, and so on: near things change their looks,
# and kerbs and lines that run along a bend look as if the car did not turn.
DEFORMED_PX = 5.0
# Half width and half height of the view straight ahead, where others drive; how much a corner counts there.
AHEAD_PX, AHEAD_SHARE = (15.0, 25.0), 0.2
LEAST_WAY_M = 0.02  # on a shorter way epipolar lines tell little
# The lane lies to either side of straight ahead, as bent as the way is now, until it has turned so far. All
# around kerbs, cars and hedges rise above the road and seem to move faster.
LANE_M, LANE_RAD = 1.6, 0.75
SHARPEST = 0.1  # rad/m; sharper bends are taken for it, so that the nearest cells, 7 m ahead, stay in
BEND_M = 0.2  # on a shorter way there is no telling how bent it is
ROAD_X_M, ROAD_Z_M, ROAD_Z_BY_SQUARE = 0.1, 0.03, 0.0003  # one sigma; the last times the distance squared
ROAD_ALIKE = 3.0  # how many cells err together
LEAST_SURE = 0.1  # one sigma is at least this share of what was corrected
NEAREST_M = 1.0  # in front of the camera; nearer things are not seen
PLANE_RAD = np.radians([0.3, 0.5])  # one sigma of the road's pitch and roll against the view's


def refine(x: np.ndarray, motion: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DenseFlow's x (B, 9, 12, 40), the student's motion and sigma (B, 6) -> the refined ones.

    Metres and radians, camera optical axes, k-1 -> k, at the training camera's height.
    """
    x = x.reshape(*x.shape[:2], -1).astype(float)
    t0, R0 = motion[:, :3], geometry.rotation_exp(motion[:, 3:])
    corners, lane = _Corners(x, t0), _Lane(x, motion)
    prior = np.concatenate([1 / (_DOUBT * sigma)**2, np.tile(1 / PLANE_RAD**2, (len(x), 1))], axis=1)
    change = np.zeros((len(x), 8))  # of translation, rotation (on the left), road's pitch and roll
    for _ in range(STEPS):
        t, R = t0 + change[:, :3], geometry.rotation_exp(change[:, 3:6]) @ R0
        H, g = prior[:, None] * np.eye(8), prior * change
        for error, J, weighted in (corners.off(t, R), lane.off(t, R, change[:, 6:])):
            n = J.shape[1]
            H[:, :n, :n] += weighted @ J.swapaxes(1, 2)
            g[:, :n] += (weighted @ error[..., None])[..., 0]
        change -= RELAXATION * np.linalg.solve(H, g[..., None])[..., 0]
    R = geometry.rotation_exp(change[:, 3:6]) @ R0
    refined = np.concatenate([t0 + change[:, :3], geometry.rotation_log(R)], axis=1)
    # A motion that nothing speaks against is not less certain for having been doubted.
    variance = np.minimum(np.diagonal(np.linalg.inv(H), axis1=1, axis2=2)[:, :6], sigma**2)
    # Where it is farther from the student's than sigma allows, one of the two is wrong by more than it says.
    surprise = ((change[:, :6] / sigma)**2).mean(axis=1, keepdims=True)
    sigma = np.sqrt(variance * np.maximum(surprise, 1.0))
    return refined, np.maximum(sigma, LEAST_SURE * np.abs(change[:, :6]))


class _Corners:
    """Corners that were found again: products of their two rays, the second and the first, (B, 15, N)."""

    def __init__(self, x: np.ndarray, t0: np.ndarray):
        """x (B, 9, 480) and the network's translations (B, 3)."""
        there = x[:, 8].any(axis=0)
        begin = _CELLS[:, there] + x[:, 4:6, there]
        aside, below = begin[:, 0] - CANONICAL.cx, begin[:, 1] - HORIZON_ROW
        in_front = (np.abs(aside) < AHEAD_PX[0]) & (np.abs(below) < AHEAD_PX[1])
        self._variance = CORNER_PX**2 * (1 + (np.maximum(below, 0) / DEFORMED_PX)**2)  # pixels squared
        way_squared = (t0**2).sum(1, keepdims=True)
        self._found = x[:, 8, there] * way_squared / (way_squared + LEAST_WAY_M**2)  # 0..1
        self._found[in_front] *= AHEAD_SHARE
        first, second = _rays(begin), _rays(begin + x[:, 6:8, there])
        products = (first[:, :, None] * second[:, None]).reshape(len(x), 9, -1)
        self._seen = np.concatenate([products, second, first], axis=1)

    def off(self, t: np.ndarray, R: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels by which corners miss epipolar lines (B, N), jacobians (B, 6, N), the same weighted."""
        E = (_ESSENTIAL + (t @ _ESSENTIAL_BY_T).reshape(-1, 7, 3, 3)) @ R[:, None]
        # How far across each line (of products of rays), and the line's normal in frame k-1 (of second rays)
        # and in k (of first ones): all are linear in E.
        M = np.zeros((*E.shape[:2], 5, 15))
        M[:, :, 0, :9] = E.reshape(*E.shape[:2], 9)
        M[:, :, 1:3, 9:12], M[:, :, 3:, 12:] = E[:, :, :2], E.swapaxes(2, 3)[:, :, :2]
        seen = (M.reshape(len(t), -1, 15) @ self._seen).reshape(*E.shape[:2], 5, -1)
        across, normals = seen[:, :, 0], seen[:, :, 1:]
        squared = np.einsum("bcn,bkcn->bkn", normals[:, 0], normals)  # and half its change
        squared[:, 0] += 1e-12
        scale = CANONICAL.fx / np.sqrt(squared[:, 0])
        error = across[:, 0] * scale
        # The distance changes with its denominator too; without that the way is drawn to where most corners
        # are.
        J = scale[:, None] * across[:, 1:] - (error / squared[:, 0])[:, None] * squared[:, 1:]
        return error, J, J * (self._found / (self._variance + error**2))[:, None]


class _Lane:
    """Cells of the road in the lane, and where they were seen before."""

    def __init__(self, x: np.ndarray, motion: np.ndarray):
        """x (B, 9, 480) and the network's motions (B, 6)."""
        in_lane = _in_lane(motion)
        here = in_lane.any(axis=0)
        shift = ROAD_PIXEL_M * DOWN_IS_NEARER[:, None] * x[:, 2:4, here]
        x_before, z_before = (_GROUND[:, here] - shift).swapaxes(0, 1)
        z_before = np.maximum(z_before, NEAREST_M)
        self._road = _ROAD[:, here]  # (3, N) metres
        self._before = _rays(np.stack(seen_on_road(x_before, z_before), axis=1))[:, :2]
        sigma_z = _SIGMA_Z[here] * CANONICAL.mount_height_m / z_before**2
        self._per_sigma = 1 / np.stack([ROAD_X_M / z_before, sigma_z], axis=1)  # (B, 2, N)
        self._share = in_lane[:, here] / ROAD_ALIKE  # (B, N) of a cell's weight, 0 beside the lane

    def off(self, t: np.ndarray, R: np.ndarray,
            plane: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """By how many sigma the road was seen elsewhere (B, 2 N), jacobians (B, 8, 2 N), the same weighted.

        plane (B, 2): pitch and roll of the road against the view's.
        """
        normal = (_NORMAL + plane @ _NORMAL_BY_PLANE)[:, None]
        H = np.empty((len(t), 9, 3, 3))  # the road's homography, and its change by t, R and plane
        H[:, 0] = R + t[:, :, None] * normal
        H[:, 1:4] = np.eye(3)[:, :, None] * normal[:, None]
        H[:, 4:7] = _TURNS @ R[:, None]
        H[:, 7:] = t[:, None, :, None] * _NORMAL_BY_PLANE[:, None]
        seen = (H.reshape(len(t), -1, 3) @ self._road).reshape(*H.shape[:3], -1)
        depth = np.maximum(seen[:, 0, 2:], NEAREST_M)
        at = seen[:, 0, :2] / depth
        error = (at - self._before) * self._per_sigma
        J = (seen[:, 1:, :2] - at[:, None] * seen[:, 1:, 2:]) * (self._per_sigma / depth)[:, None]
        weight = self._share / (1 + (error**2).sum(1) / 2)**2
        weighted = J * weight[:, None, None]
        return error.reshape(len(t), -1), J.reshape(len(t), 8, -1), weighted.reshape(len(t), 8, -1)


def _in_lane(motion: np.ndarray) -> np.ndarray:
    """Which cells of the road lie in the lane (B, 480); motions (B, 6), metres and radians, optical axes."""
    way, turn = motion[:, 2:3], motion[:, 4:5]
    bend = np.clip(turn * way / np.maximum(way**2, BEND_M**2), -SHARPEST, SHARPEST)  # rad/m, to the right
    aside, ahead = _GROUND
    return (np.abs(aside - bend * ahead**2 / 2) < LANE_M) & (np.abs(bend) * ahead < LANE_RAD)


def _rays(pixels: np.ndarray) -> np.ndarray:
    """(B, 2, N) -> (B, 3, N), z = 1."""
    u, v = (pixels[:, 0] - CANONICAL.cx) / CANONICAL.fx, (pixels[:, 1] - CANONICAL.cy) / CANONICAL.fy
    return np.stack([u, v, np.ones_like(u)], axis=1)


_TURNS = geometry.skew(np.eye(3))  # how rotations change about each axis
# (7, 3, 3), to be multiplied by R: the essential matrix and its changes by t and by rotation. The first and
# the last are linear in t, (3, 63); those by t do not depend on it.
_ESSENTIAL = np.concatenate([np.zeros((1, 3, 3)), _TURNS, np.zeros((3, 3, 3))])
_ESSENTIAL_BY_T = np.concatenate([_TURNS[:, None], np.zeros((3, 3, 3, 3)), _TURNS[:, None] @ _TURNS], axis=1)
_ESSENTIAL_BY_T = _ESSENTIAL_BY_T.reshape(3, -1)
# The road's normal over its distance, and (2, 3) how it changes with pitch and roll, to first order.
_NORMAL = np.array([0, np.cos(LOOKS_DOWN), np.sin(LOOKS_DOWN)]) / CANONICAL.mount_height_m
_NORMAL_BY_PLANE = np.array([[0, -np.sin(LOOKS_DOWN), np.cos(LOOKS_DOWN)],
                             [1.0, 0, 0]]) / CANONICAL.mount_height_m
_DOUBT = np.array([WAY_DOUBT] * 3 + [ROTATION_DOUBT] * 3)
_CELLS = CELL_CENTRES.reshape(-1, 2).T  # (2, 480) pixels
_GROUND = ROAD_CELLS.reshape(-1, 2).T  # (2, 480) metres to the right and ahead
_SIGMA_Z = ROAD_Z_M + ROAD_Z_BY_SQUARE * _GROUND[1]**2  # metres
_ROAD = _rays(np.stack(seen_on_road(*_GROUND))[None])[0]  # (3, 480) metres, in the view's axes
_ROAD = _ROAD / (_NORMAL @ _ROAD)
