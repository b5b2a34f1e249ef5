"""A twin is what a camera mounted askew would have seen and how it would have moved."""

import numpy as np
import pytest
import torch

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.frontend import CELL, FRONT_ENDS, HORIZON_ROW, MIRROR_SIGNS, ROAD_PIXEL_M
from training.twins import mounting, turned, twins

DOWN = np.array([0.0, np.cos(np.radians(1.1)), np.sin(np.radians(1.1))])  # to the road, canonical camera
HEIGHT = CANONICAL.mount_height_m


def on_road(pixels: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Points (..., 3) of the road, in the axes of a camera turned by R that sees them at pixels (..., 2)."""
    rays = np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1) @ np.linalg.inv(CANONICAL.K).T
    return rays * (HEIGHT / (rays @ (R @ DOWN)))[..., None]


def seen(points: np.ndarray) -> np.ndarray:
    pixels = points @ CANONICAL.K.T
    return pixels[..., :2] / pixels[..., 2:]


def ground(pixels: np.ndarray) -> np.ndarray:
    """What DenseFlow takes pixels for: metres to the right and ahead, (..., 2)."""
    z = CANONICAL.fy * HEIGHT / (pixels[..., 1] - HORIZON_ROW)
    return np.stack([(pixels[..., 0] - CANONICAL.cx) * z / CANONICAL.fx, z], -1)


def road_flow(T: np.ndarray, R: np.ndarray) -> np.ndarray:
    """(4, 12, 40) exact flow of an empty road, for a camera turned by R that moves by T (4, 4)."""
    x, y = np.meshgrid((np.arange(40) + 0.5) * CELL - 0.5, (np.arange(12) + 0.5) * CELL - 0.5)
    pixels = np.stack([x, y], -1)
    back = geometry.inverse(T)
    view = seen(on_road(pixels, R) @ back[:3, :3].T + back[:3, 3]) - pixels

    x, z = np.meshgrid(-6 + 0.3 * (np.arange(40) + 0.5), 30 - 2 * (np.arange(12) + 0.5))
    pixels = np.stack([CANONICAL.cx + CANONICAL.fx * x / z, HORIZON_ROW + CANONICAL.fy * HEIGHT / z], -1)
    before = ground(seen(on_road(pixels, R) @ T[:3, :3].T + T[:3, 3]))
    road = (np.stack([x, z], -1) - before) / ROAD_PIXEL_M * [1, -1]
    return np.concatenate([view, road], -1).transpose(2, 0, 1)


@pytest.mark.parametrize("degrees", [(0.8, 0, 0), (0, 0.8, 0), (0, 0, 0.8), (-0.6, 0.5, -0.7)])
def test_a_turned_camera_sees_the_road_along_other_rays(degrees):
    R = geometry.rotation_exp(np.radians(degrees))
    T = geometry.from_motion(np.array([0.02, -0.01, 0.9, 0.002, 0.01, 0.001]))
    as_turned = geometry.from_motion((R @ geometry.to_motion(T).reshape(2, 3, 1)).ravel())
    x = torch.from_numpy(road_flow(T, np.eye(3))[None]).float()
    error = turned(x, torch.from_numpy(R[None]).float())[0].numpy() - road_flow(as_turned, R)
    assert np.abs(error[:2, 8:-1, 3:-3]).max() < 0.5  # pixels, where flows are up to 40
    assert np.abs(error[2:, 6:, 3:-3]).max() < 0.5  # of 0.1 m


def test_a_camera_that_is_not_turned_sees_the_same():
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 5, (3, 4, 12, 40))).float()
    torch.testing.assert_close(turned(x, torch.eye(3).expand(3, 3, 3)), x, atol=1e-2, rtol=0)


def test_the_first_twins_are_the_pair_and_its_mirror_image():
    rng = np.random.default_rng(0)
    inputs, motions = rng.normal(size=(2, 4, 12, 40)).astype(np.float32), rng.normal(size=(2, 6))
    seen_inputs, seen_motions = twins("dense_flow", inputs, motions, np.array([7, 7]), np.array([0, 1]))
    np.testing.assert_array_equal(seen_inputs[0], inputs[0])
    np.testing.assert_array_equal(seen_inputs[1], FRONT_ENDS["dense_flow"].mirrored(inputs[1]))
    np.testing.assert_array_equal(seen_motions, [motions[0], motions[1] * MIRROR_SIGNS])


def test_a_twin_moves_as_its_own_axes_say():
    motion = np.array([0.1, 0.2, 0.9, 0.01, 0.05, -0.02])
    _, (of_twin,) = twins("dense_flow", np.zeros((1, 4, 12, 40)), motion[None], np.array([31]), np.array([4]))
    mount = np.eye(4)
    mount[:3, :3] = mounting(np.array([31]), np.array([4]))[0]
    np.testing.assert_allclose(geometry.from_motion(of_twin),
                               mount @ geometry.from_motion(motion) @ geometry.inverse(mount), atol=1e-12)
