"""A twin is what a camera mounted askew would have seen and how it would have moved."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import rays, seen

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.frame import CELL, HORIZON_ROW, LOOKS_DOWN, ROAD_PIXEL_M
from distill_vo.frontend import as_channels, corners_in
from distill_vo.level import AXLE_M, straight_way
from training.data.cache import PairCache, Track
from training.twins import levelled, mounting, moved_by_twins, turned, twins

DOWN = np.array([0.0, np.cos(np.radians(1.1)), np.sin(np.radians(1.1))])  # to the road, canonical camera
HEIGHT = CANONICAL.mount_height_m


def on_road(pixels: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Points (..., 3) of the road, in the axes of a camera turned by R that sees them at pixels (..., 2)."""
    to = rays(pixels)
    return to * (HEIGHT / (to @ (R @ DOWN)))[..., None]


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
    return np.concatenate([view.transpose(2, 0, 1), from_above(T, R, 12, 40)])


def from_above(T: np.ndarray, R: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(2, rows, columns) exact flow of the road seen from above."""
    aside, ahead = -6 + 12 / columns * (np.arange(columns) + 0.5), 30 - 24 / rows * (np.arange(rows) + 0.5)
    x, z = np.meshgrid(aside, ahead)
    pixels = np.stack([CANONICAL.cx + CANONICAL.fx * x / z, HORIZON_ROW + CANONICAL.fy * HEIGHT / z], -1)
    before = ground(seen(on_road(pixels, R) @ T[:3, :3].T + T[:3, 3]))
    return ((np.stack([x, z], -1) - before) / ROAD_PIXEL_M * [1, -1]).transpose(2, 0, 1)


def patches(T: np.ndarray, R: np.ndarray) -> np.ndarray:
    """(4, 12, 40) exact flow of the road as FineFlow has it."""
    return as_channels(from_above(T, R, 24, 20)[None])[0]


@pytest.mark.parametrize("degrees", [(0.8, 0, 0), (0, 0.8, 0), (0, 0, 0.8), (-0.6, 0.5, -0.7)])
def test_a_turned_camera_sees_the_road_along_other_rays(degrees):
    R = geometry.rotation_exp(np.radians(degrees))
    T = geometry.from_motion(np.array([0.02, -0.01, 0.9, 0.002, 0.01, 0.001]))
    as_turned = geometry.from_motion((R @ geometry.to_motion(T).reshape(2, 3, 1)).ravel())
    corners = np.zeros((20, 12, 40))
    x = np.concatenate([road_flow(T, np.eye(3)), corners, patches(T, np.eye(3))])
    expected = np.concatenate([road_flow(as_turned, R), corners, patches(as_turned, R)])
    error = turned(torch.from_numpy(x[None]).float(), torch.from_numpy(R[None]).float())[0].numpy() - expected
    assert np.abs(error[:2, 8:-1, 3:-3]).max() < 0.5  # pixels, where flows are up to 40
    assert np.abs(error[2:, 6:, 3:-3]).max() < 0.5  # of 0.1 m


def test_a_camera_that_is_not_turned_sees_the_same():
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 5, (3, 4, 12, 40))).float()
    torch.testing.assert_close(turned(x, torch.eye(3).expand(3, 3, 3)), x, atol=1e-2, rtol=0)


@pytest.mark.parametrize("corners", [1, 4])
def test_a_turned_camera_sees_the_same_corners_along_other_rays(corners):
    rng = np.random.default_rng(0)
    R = geometry.rotation_exp(np.radians([-0.6, 0.5, -0.7]))
    x = rng.uniform(-5, 5, (4 + 5 * corners, 12, 40))
    x[8::5] = rng.random((corners, 12, 40)) < 0.8
    cells = np.stack(np.meshgrid((np.arange(40) + 0.5) * CELL - 0.5, (np.arange(12) + 0.5) * CELL - 0.5))
    of_turned = turned(torch.from_numpy(x[None]).float(), torch.from_numpy(R[None]).float())[0].numpy()
    np.testing.assert_array_equal(of_turned[8::5], x[8::5])
    for was, now in zip(corners_in(x[None])[0], corners_in(of_turned[None])[0], strict=True):
        for place, seen_now in ((was[:2], now[:2]), (was[:2] + was[2:4], now[:2] + now[2:4])):
            expected = seen(rays((cells + place).transpose(1, 2, 0)) @ R.T).transpose(2, 0, 1)
            assert np.abs(cells + seen_now - expected)[:, was[4] == 1].max() < 1e-3


def drive(looks_down: float, stride: int = 1, left: float = 0.0) -> PairCache:
    """A drive of 40 equal pairs on a road that hardly bends; its camera looks so far down and left (rad)."""
    ahead, yaw = np.cos(left) * np.cos(looks_down), 0.002
    aside = np.sin(left) + (AXLE_M + ahead / 2) * yaw  # the bend takes the camera to the side
    motion = np.array([aside, -np.sin(looks_down), ahead, 0.001, yaw, -0.001])
    if stride < 0:
        motion = geometry.to_motion(geometry.inverse(geometry.from_motion(motion)))
    inputs = np.random.default_rng(0).normal(size=(40, 9, 12, 40)).astype(np.float32)
    return PairCache(Path(), inputs, np.tile(motion, (40, 1)), (Track("drive", stride, 0, 40, 0.1),),
                     {"front_end": "dense_flow"})


@pytest.mark.parametrize("stride", [1, 2, -1])
def test_a_drive_is_levelled_by_its_way(stride):
    _, motions = levelled(drive(np.radians(2.0), stride), slice(0, 40))
    if stride < 0:
        motions = geometry.to_motion(geometry.inverse(geometry.from_motion(motions)))
    way = motions[:, :3].sum(axis=0)
    assert np.arctan2(-way[1], way[2]) == pytest.approx(LOOKS_DOWN)
    assert np.linalg.norm(way[1:]) == pytest.approx(40.0)


@pytest.mark.parametrize("stride", [1, -1])
def test_a_straight_road_leads_straight_into_a_levelled_view(stride):
    _, motions = levelled(drive(LOOKS_DOWN, stride, left=np.radians(0.7)), slice(0, 40))
    if stride < 0:
        motions = geometry.to_motion(geometry.inverse(geometry.from_motion(motions)))
    aside, ahead = straight_way(motions).sum(axis=0)
    assert aside / ahead == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("way", [[0.0, 0.02, -1.0], [0.9, 0.0, 0.4], [0.0, 0.0, 0.01]])
def test_a_drive_that_does_not_lead_ahead_is_left_as_it_is(way):
    cache = drive(LOOKS_DOWN)
    cache.motions[:, :3] = way
    np.testing.assert_array_equal(cache.turn, 0.0)


def test_a_bend_does_not_tell_where_a_camera_looks():
    cache = drive(LOOKS_DOWN)
    cache.motions[:, 4] = 0.05
    assert cache.turn[0] == pytest.approx([0.0, 0.0], abs=1e-12)


def test_a_view_off_level_has_the_motions_of_a_camera_turned_by_so_much():
    cache, off = drive(LOOKS_DOWN), (np.radians(0.5), np.radians(-0.3))
    cache.motions[:] = [0.0, -np.sin(LOOKS_DOWN), np.cos(LOOKS_DOWN), 0.0, 0.0, 0.0]
    _, (motion, *_) = levelled(cache, slice(0, 40), off)
    assert np.arctan2(-motion[1], motion[2]) == pytest.approx(LOOKS_DOWN + off[0], rel=1e-3)
    assert np.arctan2(motion[0], motion[2]) == pytest.approx(-off[1], rel=1e-3)


def test_parts_of_a_drive_are_levelled_as_one():
    cache = drive(np.radians(2.0))
    parts = tuple(Track("drive", 1, *rows, 0.1) for rows in ((0, 3), (3, 40)))
    np.testing.assert_allclose(replace(cache, tracks=parts).turn, cache.turn)


def test_the_first_twin_is_the_levelled_pair():
    cache = drive(LOOKS_DOWN)
    seen_inputs, seen_motions = twins(cache, np.array([7]), np.array([0]))
    np.testing.assert_allclose(seen_inputs[0], cache.inputs[7, :4], atol=1e-2)
    np.testing.assert_allclose(seen_motions[0], cache.motions[7], atol=1e-12)


def test_a_twin_moves_as_its_own_axes_say():
    cache = drive(LOOKS_DOWN)
    _, (of_twin,) = twins(cache, np.array([31]), np.array([2]))
    mount = np.eye(4)
    mount[:3, :3] = mounting(np.array([31]), np.array([2]))[0]
    assert not np.allclose(mount, np.eye(4))
    np.testing.assert_allclose(geometry.from_motion(of_twin), mount @ geometry.from_motion(cache.motions[31])
                               @ geometry.inverse(mount), atol=1e-12)


@pytest.mark.parametrize("twin", range(3))
def test_what_a_levelled_camera_says_a_twin_says_in_its_own_axes(twin):
    cache, rows = drive(np.radians(2.0)), np.arange(40)
    of_twin = np.full(40, twin)
    said = moved_by_twins(levelled(cache, slice(0, 40))[1], rows, of_twin)
    np.testing.assert_allclose(said, twins(cache, rows, of_twin)[1], atol=1e-12)
