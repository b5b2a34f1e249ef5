"""Twins of frame pairs: the same pair seen by cameras mounted a little askew.

A camera's pitch tells the scale: by half a degree of it the road seems a tenth longer or shorter; its yaw is
taken for drift or a turn. One pair does not show them, the way the camera goes does, and the odometry turns
its view by it (distill_vo/level.py).
So each drive is levelled first, by its true way, and its twins are askew by no more than what is left then.
A turned camera sees what the other sees along other rays: its flow follows from the flow alone. The mountings
of a twin sweep slowly along the pairs of a cache, each the same whenever it is asked for: what a teacher says
of a twin is computed once.

The first of a pair's twins is level. Mirror images no network need be shown, see mirror.py.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from distill_vo import geometry
from distill_vo.camera import CANONICAL, looking
from distill_vo.frame import (
    CELL,
    CELL_CENTRES,
    DOWN_IS_NEARER,
    HORIZON_ROW,
    ROAD_PIXEL_M,
    road_centres,
    seen_on_road,
)
from distill_vo.frontend import (
    FRONT_ENDS,
    SEEN,
    as_channels,
    corners_in,
    finer_patches_from,
    patches_in,
)
from training.data.cache import PairCache

TWINS = {"dense_flow": 3, "fine_flow": 3, "stacked_frames": 1}
SWEEP_DEG = np.array([0.3, 0.5, 0.8])  # of pitch, yaw and roll to either side
SWEEP_PAIRS = np.array([89.0, 127.0, 151.0])  # of a sweep there and back
SWEEP_PHASES = np.array([[0.0, 0.3, 0.6], [0.5, 0.8, 0.1]])  # of the second and third mounting


def twins(cache: PairCache, rows: np.ndarray, twin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a network sees, float32 (B, C, H, W), and motions (B, 6) of the twins (B,) of rows (B,)."""
    if not FRONT_ENDS[cache.front_end].is_flow:
        return cache.inputs[rows].astype(np.float32), np.array(cache.motions[rows])
    R = mounting(rows, twin) @ looking(cache.turn[rows])
    return _seen_turned(cache.inputs[rows][:, :SEEN], cache.motions[rows], R)


def levelled(cache: PairCache, rows: slice,
             off: tuple[float, float] = (0.0, 0.0)) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and motions of consecutive rows as the odometry sees them, once it has levelled its view.

    off: by how much that view looks too far down and to the right, rad. Whole frames stay as they are.
    """
    inputs, motions = cache.inputs[rows], cache.motions[rows]
    if not FRONT_ENDS[cache.front_end].is_flow:
        return inputs, motions
    return _seen_turned(inputs, motions, looking(cache.turn[rows] + off))


def moved_by_twins(motions: np.ndarray, rows: np.ndarray, twin: np.ndarray) -> np.ndarray:
    """Motions (B, 6) of rows (B,), as levelled cameras say them -> the same motions said by their twins."""
    return _turned_motions(motions, mounting(rows, twin))


def _seen_turned(inputs: np.ndarray, motions: np.ndarray, R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inputs = turned(torch.from_numpy(np.array(inputs, np.float32)), torch.from_numpy(R).float()).numpy()
    return inputs, _turned_motions(motions, R)


def _turned_motions(motions: np.ndarray, R: np.ndarray) -> np.ndarray:
    return (R[:, None] @ motions.reshape(-1, 2, 3, 1)).reshape(-1, 6)


def mounting(rows: np.ndarray, twin: np.ndarray) -> np.ndarray:
    """Rotations (B, 3, 3) from the drive's levelled camera to the one of the twin."""
    turns = rows[:, None] / SWEEP_PAIRS + SWEEP_PHASES[twin - 1]
    askew = (twin >= 1)[:, None]
    return geometry.rotation_exp(np.radians(askew * SWEEP_DEG * np.sin(2 * np.pi * turns)))


def turned(x: Tensor, R: Tensor) -> Tensor:
    """What DenseFlow or FineFlow would give to cameras turned by R (B, 3, 3): x (B, C, 12, 40), or of its
    channels those that networks see -> the same shape.

    Flow is sampled between the cells; what only the turned camera sees is taken from the border. Corners stay
    in the cell in which they were found, wherever they are seen now.
    """
    here = _VIEW.expand(len(x), -1, -1, -1)
    there = _seen_by(R.mT, here)
    flow = _sampled(x[:, :2], (there - _VIEW[0, 0]) / CELL)
    view = (_seen_by(R, there + flow) - here).permute(0, 3, 1, 2)
    corners = [_turned_corner(corner, R) for corner in corners_in(x).unbind(1)]
    has_finer = finer_patches_from(x.shape[1]) < x.shape[1]
    finer = [as_channels(_turned_road(patches_in(x), R))] if has_finer else []
    return torch.cat([view, _turned_road(x[:, 2:SEEN], R), *corners, *finer], 1)


def _turned_road(flow: Tensor, R: Tensor) -> Tensor:
    """Flow of the road (B, 2, rows, columns) -> the same shape."""
    ground = torch.from_numpy(road_centres(*flow.shape[2:])).float()
    there = _on_road(_seen_by(R.mT, _from_road(ground).expand(len(flow), -1, -1, -1)))
    flow = _sampled(flow, (there - ground[0, 0]) / (ground[1, 1] - ground[0, 0]))
    before = there - ROAD_PIXEL_M * flow * _DOWN
    moved = (ground - _on_road(_seen_by(R, _from_road(before)))) / ROAD_PIXEL_M * _DOWN
    return moved.permute(0, 3, 1, 2)


def _turned_corner(corner: Tensor, R: Tensor) -> Tensor:
    """One corner of each cell (B, 5, 12, 40) -> the same shape."""
    inside, moved, found = corner.permute(0, 2, 3, 1).split([2, 2, 1], -1)
    at, to = _seen_by(R, _VIEW + inside), _seen_by(R, _VIEW + inside + moved)
    return (torch.cat([at - _VIEW, to - at, torch.ones_like(found)], -1) * found).permute(0, 3, 1, 2)


_VIEW = torch.from_numpy(CELL_CENTRES).float()  # (12, 40, 2) pixels
_K = torch.from_numpy(CANONICAL.K).float()
_K_INVERSE = torch.linalg.inv(_K)
_DOWN = torch.from_numpy(DOWN_IS_NEARER).float()
_NEAREST_ROW = 3.0  # below the horizon: what is farther cannot be told apart


def _seen_by(R: Tensor, pixels: Tensor) -> Tensor:
    """Where a camera turned by R (B, 3, 3) sees what is at pixels (B, rows, columns, 2)."""
    a, b, c = (_K @ R @ _K_INVERSE)[..., None, None].unbind(2)  # matrix products take thrice as long
    x, y = pixels[:, None].unbind(-1)
    seen = a * x + b * y + c
    return (seen[:, :2] / seen[:, 2:]).movedim(1, -1)


def _from_road(ground: Tensor) -> Tensor:
    """Metres to the right and ahead (..., 2) -> pixels."""
    return torch.stack(seen_on_road(ground[..., 0], ground[..., 1].clamp(min=0.5)), -1)


def _on_road(pixels: Tensor) -> Tensor:
    """Pixels (..., 2) -> metres to the right and ahead."""
    z = CANONICAL.fy * CANONICAL.mount_height_m / (pixels[..., 1] - HORIZON_ROW).clamp(min=_NEAREST_ROW)
    return torch.stack([(pixels[..., 0] - CANONICAL.cx) * z / CANONICAL.fx, z], -1)


def _sampled(flow: Tensor, cells: Tensor) -> Tensor:
    """flow (B, 2, rows, columns) at cells (B, rows, columns, 2), (0, 0) being the first one's centre -> (B,
    rows, columns, 2)."""
    at = (2 * cells + 1) / torch.tensor(flow.shape[:1:-1]) - 1
    return grid_sample(flow, at, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)
