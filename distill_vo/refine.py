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
DEFORMED_PX = 15.0  # below it sigma grows, by the square root of two here: near things change their looks
LEAST_WAY_M = 0.02  # on a shorter way epipolar lines tell little
# The lane lies to either side of straight ahead, as bent as the way is now, until it has turned so far. All
# around kerbs, cars and hedges rise above the road and seem to move faster.
LANE_M, LANE_RAD = 1.6, 0.75
SHARPEST = 0.1  # rad/m; sharper bends are taken for it, so that the nearest cells, 7 m ahead, stay in
BEND_M = 0.2  # on a shorter way there is no telling how bent it is
ROAD_X_M, ROAD_Z_M, ROAD_Z_BY_SQUARE = 0.1, 0.03, 0.0003  # one sigma; the last times the distance squared
ROAD_ALIKE = 4.0  # how many cells err together
LEAST_SURE = 0.1  # one sigma is at least this share of what was corrected
NEAREST_M = 1.0  # in front of the camera; nearer things are not seen
PLANE_RAD = np.radians([0.3, 0.5])  # one sigma of the road's pitch and roll against the view's


def refine(x: np.ndarray, motion: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DenseFlow's x (B, 9, 12, 40), the student's motion and sigma (B, 6) -> the refined ones.

    Metres and radians, camera optical axes, k-1 -> k, at the training camera's height.
    """
    x = x.reshape(*x.shape[:2], -1).astype(float)
    there = x[:, 8].any(axis=0)
    begin = _CELLS[:, there] + x[:, 4:6, there]
    below = np.maximum(begin[:, 1] - HORIZON_ROW, 0)
    corner_variance = CORNER_PX**2 * (1 + (below / DEFORMED_PX)**2)
    first, second = _rays(begin), _rays(begin + x[:, 6:8, there])
    in_lane = _in_lane(motion)
    here = in_lane.any(axis=0)
    shift = ROAD_PIXEL_M * DOWN_IS_NEARER[:, None] * x[:, 2:4, here]
    x_before, z_before = (_GROUND[:, here] - shift).swapaxes(0, 1)
    z_before = np.maximum(z_before, NEAREST_M)
    before = _rays(np.stack(seen_on_road(x_before, z_before), axis=1))[:, :2]
    sigma_z = _SIGMA_Z[here] * CANONICAL.mount_height_m / z_before**2
    road_sigma = np.stack([ROAD_X_M / z_before, sigma_z], axis=1)
    lane = _ROAD[:, here], before, road_sigma, in_lane[:, here] / ROAD_ALIKE
    t0, R0 = motion[:, :3], geometry.rotation_exp(motion[:, 3:])
    way_squared = (t0**2).sum(1, keepdims=True)
    found = x[:, 8, there] * way_squared / (way_squared + LEAST_WAY_M**2)
    prior = np.concatenate([1 / (_DOUBT * sigma)**2, np.tile(1 / PLANE_RAD**2, (len(x), 1))], axis=1)
    change = np.zeros((len(x), 8))  # of translation, rotation (on the left), road's pitch and roll
    for _ in range(STEPS):
        t, R = t0 + change[:, :3], geometry.rotation_exp(change[:, 3:6]) @ R0
        H, g = prior[:, None] * np.eye(8), prior * change
        corners = _off_epipolar_line(t, R, first, second, corner_variance, found)
        H[:, :6, :6], g[:, :6] = _add(H[:, :6, :6], g[:, :6], *corners)
        H, g = _add(H, g, *_off_road(t, R, change[:, 6:], *lane))
        change -= RELAXATION * np.linalg.solve(H, g[..., None])[..., 0]
    R = geometry.rotation_exp(change[:, 3:6]) @ R0
    refined = np.concatenate([t0 + change[:, :3], geometry.rotation_log(R)], axis=1)
    # A motion that nothing speaks against is not less certain for having been doubted.
    variance = np.minimum(np.diagonal(np.linalg.inv(H), axis1=1, axis2=2)[:, :6], sigma**2)
    # Where it is farther from the student's than sigma allows, one of the two is wrong by more than it says.
    surprise = ((change[:, :6] / sigma)**2).mean(axis=1, keepdims=True)
    sigma = np.sqrt(variance * np.maximum(surprise, 1.0))
    return refined, np.maximum(sigma, LEAST_SURE * np.abs(change[:, :6]))


def _in_lane(motion: np.ndarray) -> np.ndarray:
    """Which cells of the road lie in the lane (B, 480); motions (B, 6), metres and radians, optical axes."""
    way, turn = motion[:, 2:3], motion[:, 4:5]
    bend = np.clip(turn * way / np.maximum(way**2, BEND_M**2), -SHARPEST, SHARPEST)  # rad/m, to the right
    aside, ahead = _GROUND
    return (np.abs(aside - bend * ahead**2 / 2) < LANE_M) & (np.abs(bend) * ahead < LANE_RAD)


def _add(H, g, error: np.ndarray, J: np.ndarray, weight: np.ndarray):
    """Normal equations H, g with errors (B, N) of jacobians (B, n, N) and weights (B, N) added."""
    weighted = J * weight[:, None]
    return H + weighted @ J.swapaxes(1, 2), g + (weighted @ error[..., None])[..., 0]


def _times(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(B, n, r, 3) times (B, 3, N) -> (B, n, r, N), in one product."""
    product = matrices.reshape(len(matrices), -1, 3) @ vectors
    return product.reshape(*matrices.shape[:3], -1)


def _rays(pixels: np.ndarray) -> np.ndarray:
    """(B, 2, N) -> (B, 3, N), z = 1."""
    u, v = (pixels[:, 0] - CANONICAL.cx) / CANONICAL.fx, (pixels[:, 1] - CANONICAL.cy) / CANONICAL.fy
    return np.stack([u, v, np.ones_like(u)], axis=1)


def _off_epipolar_line(t, R, first, second, variance, found):
    """Pixels by which corners miss their lines (B, N), jacobians (B, 6, N), weights (B, N).

    first, second (B, 3, N): rays to them; variance (B, N) pixels squared; found (B, N) 0..1.
    """
    skew, turned = geometry.skew(t)[:, None], _TURNS @ R[:, None]
    E = np.concatenate([skew @ R[:, None], turned, skew @ turned], axis=1)  # and its change by t and by R
    lines = _times(E, second)  # in frame k-1
    ends = np.concatenate([lines[:, :, :2], _times(E.swapaxes(2, 3)[:, :, :2], first)], axis=2)
    across = (first[:, None] * lines).sum(2)
    squared = (ends[:, 0]**2).sum(1) + 1e-12
    scale = CANONICAL.fx / np.sqrt(squared)
    error = across[:, 0] * scale
    # The distance changes with its denominator too; without that the way is drawn to where most corners are.
    d_squared = (ends[:, :1] * ends[:, 1:]).sum(2)  # half of it
    J = scale[:, None] * across[:, 1:] - (error / squared)[:, None] * d_squared
    weight = found / (variance + error**2)
    return error, J, weight


def _off_road(t, R, plane, road, before, sigma, share):
    """By how many sigma the road was seen elsewhere (B, 2 N), jacobians (B, 8, 2 N), weights (B, 2 N).

    road (3, N): metres; before (B, 2, N): rays to where it was, without their 1; sigma (B, 2, N);
    share (B, N): of a cell's weight, 0 beside the lane.
    """
    pitch, roll = LOOKS_DOWN + plane[:, 0], plane[:, 1]
    zero = np.zeros_like(pitch)
    # The road's normal over its distance, and how that changes with pitch and roll.
    normal, *d_normal = np.array([[roll, np.cos(pitch), np.sin(pitch)], [zero, -np.sin(pitch), np.cos(pitch)],
                                  [zero + 1, zero, zero]]).swapaxes(1, 2) / CANONICAL.mount_height_m
    way = t[:, None, :, None]
    H = np.concatenate([R[:, None] + way * normal[:, None, None],  # the road's homography, and its changes
                        np.eye(3)[:, :, None] * normal[:, None, None], _TURNS @ R[:, None],
                        *(way * d[:, None, None] for d in d_normal)], axis=1)
    seen = _times(H, road)
    depth = np.maximum(seen[:, 0, 2:], NEAREST_M)
    at = seen[:, 0, :2] / depth
    error = (at - before) / sigma
    J = (seen[:, 1:, :2] - at[:, None] * seen[:, 1:, 2:]) / (depth * sigma)[:, None]
    weight = share / (1 + (error**2).sum(1) / 2)**2
    return error.reshape(len(t), -1), J.reshape(len(t), 8, -1), np.concatenate([weight, weight], 1)


_TURNS = geometry.skew(np.eye(3))  # how rotations change about each axis
_DOUBT = np.array([WAY_DOUBT] * 3 + [ROTATION_DOUBT] * 3)
_CELLS = CELL_CENTRES.reshape(-1, 2).T  # (2, 480) pixels
_GROUND = ROAD_CELLS.reshape(-1, 2).T  # (2, 480) metres to the right and ahead
_SIGMA_Z = ROAD_Z_M + ROAD_Z_BY_SQUARE * _GROUND[1]**2  # metres
_ROAD = _rays(np.stack(seen_on_road(*_GROUND))[None])[0]  # (3, 480) metres, in the view's axes
_ROAD = _ROAD * CANONICAL.mount_height_m / (np.array([0, np.cos(LOOKS_DOWN), np.sin(LOOKS_DOWN)]) @ _ROAD)
