"""What geometry says to the student's motion: corners are seen along epipolar lines, and the road is a plane.

The student takes in the whole view and is seldom far off, but each of its numbers is a guess; single corners
are followed to a fraction of a pixel. So its motion is the prior, its sigma how far it is believed, and the
most probable motion is found by a few Gauss-Newton steps over corners and road, with Cauchy's weights against
what moves by itself. Where geometry says nothing the motion stays the student's; but a road without any
texture looks like one that stands still, and has what little weight Cauchy leaves it.
Sources: Hartley, Zisserman, "Multiple View Geometry in Computer Vision", 2004, sections 11.4.3 (the Sampson
distance from the epipolar line) and 13.1 (planes); the constants are measured on rendered streets.
"""

import numpy as np

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.frontend import (
    CELL_CENTRES,
    DOWN_IS_NEARER,
    LOOKS_DOWN,
    ROAD_CELLS,
    ROAD_PIXEL_M,
    seen_on_road,
)

STEPS = 4
CORNER_PX, CORNERS_ALIKE = 0.2, 2.0  # one sigma; how many neighbours err together
LEAST_WAY_M = 0.02  # on a shorter way epipolar lines tell little
ROAD_X_M, ROAD_Z_M, ROAD_Z_BY_SQUARE = 0.05, 0.05, 0.0006  # one sigma; the last times the distance squared
ROAD_ALIKE = 60.0  # how many cells err together
NEAREST_M = 1.0  # in front of the camera; nearer things are not seen
PLANE_RAD = np.radians([0.2, 0.5])  # one sigma of the road's pitch and roll against the view's


def refine(x: np.ndarray, motion: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DenseFlow's x (B, 9, 12, 40), the student's motion and sigma (B, 6) -> the refined ones.

    Metres and radians, camera optical axes, k-1 -> k, at the training camera's height.
    """
    x = x.reshape(*x.shape[:2], -1).astype(float)
    first = _rays(_CELLS + x[:, 4:6])
    second = _rays(_CELLS + x[:, 4:6] + x[:, 6:8])
    x_before, z_before = (_GROUND - ROAD_PIXEL_M * DOWN_IS_NEARER[:, None] * x[:, 2:4]).swapaxes(0, 1)
    z_before = np.maximum(z_before, NEAREST_M)
    before = _rays(np.stack(seen_on_road(x_before, z_before), axis=1))
    road_sigma = ROAD_X_M / z_before, _SIGMA_Z * CANONICAL.mount_height_m / z_before**2  # of rays
    t0, R0 = motion[:, :3], geometry.rotation_exp(motion[:, 3:])
    way_squared = (t0**2).sum(1, keepdims=True)
    found = x[:, 8] * way_squared / (way_squared + LEAST_WAY_M**2)
    prior = np.concatenate([1 / sigma**2, np.tile(1 / PLANE_RAD**2, (len(x), 1))], axis=1)
    change = np.zeros((len(x), 8))  # of translation, rotation (on the left), road's pitch and roll
    for _ in range(STEPS):
        t, R = t0 + change[:, :3], geometry.rotation_exp(change[:, 3:6]) @ R0
        H, g = prior[:, None] * np.eye(8), prior * change
        corners = _off_epipolar_line(t, R, first, second, found)
        H[:, :6, :6], g[:, :6] = _add(H[:, :6, :6], g[:, :6], *corners)
        H, g = _add(H, g, *_off_road(t, R, change[:, 6:], before, road_sigma))
        change -= np.linalg.solve(H, g[..., None])[..., 0]
    R = geometry.rotation_exp(change[:, 3:6]) @ R0
    refined = np.concatenate([t0 + change[:, :3], geometry.rotation_log(R)], axis=1)
    variance = np.diagonal(np.linalg.inv(H), axis1=1, axis2=2)[:, :6]
    # Where it is farther from the student's than sigma allows, one of the two is wrong by more than it says.
    surprise = ((change[:, :6] / sigma)**2).mean(axis=1, keepdims=True)
    return refined, np.sqrt(variance * np.maximum(surprise, 1.0))


def _add(H, g, error: np.ndarray, J: np.ndarray, weight: np.ndarray):
    """Normal equations H, g with errors (B, N) of jacobians (B, n, N) and weights (B, N) added."""
    weighted = J * weight[:, None]
    return H + weighted @ J.swapaxes(1, 2), g + (weighted @ error[..., None])[..., 0]


def _rays(pixels: np.ndarray) -> np.ndarray:
    """(B, 2, N) -> (B, 3, N), z = 1."""
    u, v = (pixels[:, 0] - CANONICAL.cx) / CANONICAL.fx, (pixels[:, 1] - CANONICAL.cy) / CANONICAL.fy
    return np.stack([u, v, np.ones_like(u)], axis=1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of vectors (B, 3, N); NumPy's own is slow."""
    (ax, ay, az), (bx, by, bz) = a.swapaxes(0, 1), b.swapaxes(0, 1)
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)


def _off_epipolar_line(t, R, first, second, found):
    """Pixels by which corners miss their lines (B, N), jacobians (B, 6, N), weights (B, N)."""
    y, across = R @ second, geometry.skew(t)
    line, before = across @ y, -across @ first  # in frame k-1: the line; and first x t
    back = R.swapaxes(1, 2) @ before  # the line in frame k
    squared = (line[:, :2]**2).sum(1) + (back[:, :2]**2).sum(1) + 1e-12
    scale = CANONICAL.fx / np.sqrt(squared)
    error = (first * line).sum(1) * scale
    # The distance changes with its denominator too; without that the way is drawn to where most corners are.
    line[:, 2] = back[:, 2] = 0.0
    back = R @ back
    by_t = scale[:, None] * _cross(y, first) - (error / squared)[:, None] * (
        _cross(y, line) + _cross(back, first))
    by_R = scale[:, None] * _cross(y, before) - (error / squared)[:, None] * (
        _cross(y, -across @ line) + _cross(back, before))
    J = np.concatenate([by_t, by_R], axis=1)
    weight = found / (1 + (error / CORNER_PX)**2) / (CORNERS_ALIKE * CORNER_PX**2)
    return error, J, weight


def _off_road(t, R, plane, before, sigma):
    """By how many sigma the road was seen elsewhere (B, 2 N), jacobians (B, 8, 2 N), weights (B, 2 N).

    before (B, 3, N): rays to where it was; sigma: of their x and y.
    """
    pitch, roll = LOOKS_DOWN + plane[:, 0], plane[:, 1]
    zero, one = np.zeros_like(pitch), np.ones_like(pitch)
    normal = np.stack([[roll, np.cos(pitch), np.sin(pitch)], [zero, -np.sin(pitch), np.cos(pitch)],
                       [one, zero, zero]]).transpose(2, 0, 1)  # and its changes with pitch and roll
    along, by_pitch, by_roll = (normal @ _ROAD_RAYS).swapaxes(0, 1)[:, :, None]  # (B, 1, N) each
    turned = R @ (CANONICAL.mount_height_m / along * _ROAD_RAYS)
    X, Y, Z = (turned + t[..., None]).swapaxes(0, 1)
    depth, none, one = np.maximum(Z, NEAREST_M), np.zeros_like(Z), np.ones_like(Z)
    planes = -turned * by_pitch / along, -turned * by_roll / along
    errors, jacobians = [], []
    for k, at in enumerate((X / depth, Y / depth)):
        by = np.stack([none if k else one, one if k else none, -at], axis=1) / (sigma[k] * depth)[:, None]
        J = [by, _cross(turned, by), *((by * d).sum(1, keepdims=True) for d in planes)]
        errors.append((at - before[:, k]) / sigma[k])
        jacobians.append(np.concatenate(J, axis=1))
    weight = 1 / (1 + errors[0]**2 + errors[1]**2) / ROAD_ALIKE
    return np.concatenate(errors, 1), np.concatenate(jacobians, 2), np.concatenate([weight, weight], 1)


_CELLS, _GROUND = CELL_CENTRES.reshape(-1, 2).T, ROAD_CELLS.reshape(-1, 2).T  # (2, 480) pixels; metres
_ROAD_RAYS = _rays(np.stack(seen_on_road(*_GROUND))[None])[0]
_SIGMA_Z = ROAD_Z_M + ROAD_Z_BY_SQUARE * _GROUND[1]**2  # metres
