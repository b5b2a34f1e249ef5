"""Twins of frame pairs: the same pair seen in a mirror and by cameras mounted a little askew.

A drive has one mounting, so a network could learn the drive instead of what the mounting does to the scale:
by half a degree of pitch the road seems a tenth longer or shorter. A turned camera sees what the other sees
along other rays; its flow follows from the flow grid alone. The mountings of a twin sweep slowly along the
pairs of a cache, each the same whenever it is asked for: what a teacher says of a twin is computed once.

Twin t is mirrored where t is odd and has mounting t // 2, of which the first is the drive's own.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.frontend import (
    CELL,
    FRONT_ENDS,
    GRID,
    HORIZON_ROW,
    MIRROR_SIGNS,
    ROAD_AHEAD_M,
    ROAD_ASIDE_M,
    ROAD_PIXEL_M,
    seen_on_road,
)

TWINS = {"dense_flow": 6, "stacked_frames": 2}
SWEEP_DEG = np.array([1.2, 0.8, 0.8])  # of pitch, yaw and roll to either side
SWEEP_PAIRS = np.array([89.0, 127.0, 151.0])  # of a sweep there and back
SWEEP_PHASES = np.array([[0.0, 0.3, 0.6], [0.5, 0.8, 0.1]])  # of the second and third mounting


def twins(front_end: str, inputs: np.ndarray, motions: np.ndarray, rows: np.ndarray,
          twin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """inputs (B, C, H, W) and motions (B, 6) of rows (B,) of a cache -> those of their twins (B,)."""
    inputs, motions = np.array(inputs, np.float32), np.array(motions)
    mirror, askew = twin % 2 == 1, twin >= 2
    inputs[mirror] = FRONT_ENDS[front_end].mirrored(inputs[mirror])
    motions[mirror] *= MIRROR_SIGNS
    if askew.any():
        R = mounting(rows[askew], twin[askew])
        inputs[askew] = turned(torch.from_numpy(inputs[askew]), torch.from_numpy(R).float()).numpy()
        motions[askew] = (R[:, None] @ motions[askew].reshape(-1, 2, 3, 1)).reshape(-1, 6)
    return inputs, motions


def mounting(rows: np.ndarray, twin: np.ndarray) -> np.ndarray:
    """Rotations (B, 3, 3) from the drive's own camera to the one mounted askew, for twins from 2 on."""
    turns = rows[:, None] / SWEEP_PAIRS + SWEEP_PHASES[twin // 2 - 1]
    return geometry.rotation_exp(np.radians(SWEEP_DEG * np.sin(2 * np.pi * turns)))


def turned(x: Tensor, R: Tensor) -> Tensor:
    """What DenseFlow would give to cameras turned by R (B, 3, 3): x (B, 4, 12, 40) -> the same shape.

    Sampled between the cells; what only the turned camera sees is taken from the border.
    """
    here = _VIEW.expand(len(x), -1, -1, -1)
    there = _seen_by(R.mT, here)
    flow = _sampled(x[:, :2], (there - _VIEW[0, 0]) / CELL)
    view = _seen_by(R, there + flow) - here

    there = _on_road(_seen_by(R.mT, _from_road(_ROAD).expand(len(x), -1, -1, -1)))
    flow = _sampled(x[:, 2:], (there - _ROAD[0, 0]) / (_ROAD[1, 1] - _ROAD[0, 0]))
    before = there - ROAD_PIXEL_M * flow * _DOWN_IS_NEARER
    road = (_ROAD - _on_road(_seen_by(R, _from_road(before)))) / ROAD_PIXEL_M * _DOWN_IS_NEARER
    return torch.cat([view, road], -1).permute(0, 3, 1, 2)


def _grid(x: np.ndarray, y: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(np.meshgrid(x, y), -1)).float()


# Centres of the cells (12, 40, 2): pixels of the view; metres of the road, to the right and ahead.
_VIEW = _grid(*((np.arange(n) + 0.5) * CELL - 0.5 for n in GRID))
_ROAD = _grid(np.linspace(-ROAD_ASIDE_M, ROAD_ASIDE_M, 2 * GRID[0] + 1)[1::2],
              np.linspace(*ROAD_AHEAD_M[::-1], 2 * GRID[1] + 1)[1::2])
_K = torch.from_numpy(CANONICAL.K).float()
_K_INVERSE = torch.linalg.inv(_K)
_SIZE = torch.tensor(GRID, dtype=torch.float32)
_DOWN_IS_NEARER = torch.tensor([1.0, -1.0])
_NEAREST_ROW = 3.0  # below the horizon: what is farther cannot be told apart


def _seen_by(R: Tensor, pixels: Tensor) -> Tensor:
    """Where a camera turned by R (B, 3, 3) sees what is at pixels (B, 12, 40, 2)."""
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
    """flow (B, 2, 12, 40) at cells (B, 12, 40, 2), (0, 0) being the first one's centre -> (B, 12, 40, 2)."""
    at = (2 * cells + 1) / _SIZE - 1
    return grid_sample(flow, at, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)
