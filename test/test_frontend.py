"""The flow grid measures what moved, in canonical pixels."""

import cv2
import numpy as np
import pytest
from made_up import mirrored

from distill_vo import frontend, geometry
from distill_vo.camera import CANONICAL, Camera
from distill_vo.frame import CELL, CELL_CENTRES, HORIZON_ROW, NEAR, CanonicalView, road_centres
from distill_vo.frontend import DenseFlow, FineFlow, StackedFrames, as_channels, corners_in, patches_in

SEE = CanonicalView(CANONICAL, "grey")
FLOWS = pytest.mark.parametrize("front_end", [DenseFlow, FineFlow])


def texture(seed=0) -> np.ndarray:
    """A (192, 640) image with detail of every size."""
    rng = np.random.default_rng(seed)
    image = np.zeros((192, 640), np.float32)
    for size in (4, 8, 16, 32, 64):
        noise = rng.normal(size=(192 // size + 2, 640 // size + 2)).astype(np.float32)
        image += size**0.5 * cv2.resize(noise, (640, 192), interpolation=cv2.INTER_CUBIC)
    return cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def flow(first: np.ndarray, second: np.ndarray, front_end=DenseFlow) -> np.ndarray:
    return front_end()(SEE(first), SEE(second))


def rotated(image: np.ndarray, r: np.ndarray) -> np.ndarray:
    """What a camera sees after turning by the rotation vector r (rad, optical axes)."""
    K = CANONICAL.K
    homography = K @ geometry.rotation_exp(-np.asarray(r)) @ np.linalg.inv(K)
    return cv2.warpPerspective(image, homography, (640, 192), flags=cv2.INTER_CUBIC,
                               borderMode=cv2.BORDER_REFLECT)


def rotation_flow(r: np.ndarray) -> np.ndarray:
    """(2, 12, 40) flow that the rotation r (rad) gives at the cells' centres, whatever the depth."""
    x, y = np.meshgrid((np.arange(40) + 0.5) * CELL - 0.5, (np.arange(12) + 0.5) * CELL - 0.5)
    pixels = np.stack([x, y, np.ones_like(x)])
    moved = np.einsum("ij,jrc->irc", CANONICAL.K @ geometry.rotation_exp(-np.asarray(r))
                      @ np.linalg.inv(CANONICAL.K), pixels)
    return (moved[:2] / moved[2]) - pixels[:2]


@pytest.mark.parametrize("r", [(0, 0.02, 0), (0.01, 0, 0), (0, 0, 0.02), (0.004, -0.03, 0.01)])
def test_flow_of_a_turning_camera_is_that_of_its_rotation(r):
    image = texture()
    moved = DenseFlow.flow(flow(image, rotated(image, r)))
    inside = (slice(None), slice(1, -1), slice(3, -3))  # beyond, the image has no partner
    assert np.abs(moved[inside] - rotation_flow(r)[inside]).mean() < 0.15


def road(forward_m: float, aside_m: float = 0.0) -> np.ndarray:
    """A canonical view of a level, textured road after driving so far."""
    x, y = np.meshgrid(np.arange(640) - CANONICAL.cx, np.arange(192) - HORIZON_ROW)
    z = CANONICAL.fy * CANONICAL.mount_height_m / np.maximum(y, 1.0)
    ground = np.stack([z * x / CANONICAL.fx + aside_m, z + forward_m], axis=-1) / 0.05
    view = cv2.remap(texture(3), ground.astype(np.float32), None, cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REFLECT)
    return np.where(y < 5, 128, view).astype(np.uint8)


@FLOWS
@pytest.mark.parametrize("forward_m", [0.1, 0.7, 1.5, 2.8])
def test_seen_from_above_the_road_moves_by_the_metres_driven(forward_m, front_end):
    moved = patches_in(flow(road(0.0), road(forward_m, 0.05), front_end)[None])[0]
    near = 0.1 * moved[:, moved.shape[1] // 2:, 2:-2]  # 18 to 6 m ahead
    assert np.median(near[1]) == pytest.approx(forward_m, abs=0.02)
    assert np.median(near[0]) == pytest.approx(-0.05, abs=0.02)


def test_finer_patches_are_found_where_they_went_not_where_they_were_sought(monkeypatch):
    sought = np.full((12, 40, 2), (0.0, 9.0), np.float32)  # 0.9 m
    monkeypatch.setattr(frontend, "_road_flow", lambda *_: sought)
    moved = patches_in(flow(road(0.0), road(0.83), FineFlow)[None])[0, 1, 12:, 2:-2]
    assert np.median(np.abs(0.1 * moved - 0.83)) < 0.02


def test_networks_see_the_same_of_either_flow():
    views = road(0.0), road(0.9, 0.2)
    np.testing.assert_array_equal(flow(*views, FineFlow)[:4], flow(*views)[:4])


def test_patches_of_road_stay_in_order_as_channels():
    patches = np.random.default_rng(0).normal(size=(3, 2, 24, 20))
    x = np.concatenate([np.zeros((3, 24, 12, 40)), as_channels(patches)], axis=1)
    np.testing.assert_array_equal(patches_in(x), patches)
    np.testing.assert_array_equal(x[:, 25, 7, 10], patches[:, 1, 14, 5])  # of a cell the farther one is first


@pytest.mark.parametrize("forward_m", [1.5, 3.5])
def test_a_faint_road_is_followed_by_its_marks_not_by_what_is_alike_all_the_way(forward_m):
    x, y = np.meshgrid(np.arange(640) - CANONICAL.cx, np.arange(192) - HORIZON_ROW)
    z = CANONICAL.fy * CANONICAL.mount_height_m / np.maximum(y, 1.0)
    aside = z * x / CANONICAL.fx
    # A verge, a line along the road, and light that falls off ahead: they look the same from everywhere.
    alike = np.where(aside > 1, -60, 40) + 40 * (np.abs(aside + 1.5) < 0.1) - 3 * np.minimum(z, 30)
    rng = np.random.default_rng(0)
    views = [np.clip(120 + 0.06 * (road(m) - 128.0) + alike + rng.normal(0, 1.5, alike.shape), 0, 255)
             .astype(np.uint8) for m in (0.0, forward_m)]
    lane = 0.1 * flow(*views)[3, 6:, 14:26]
    assert np.median(lane) == pytest.approx(forward_m, abs=0.05)


def test_a_turn_moves_the_road_aside_by_the_turn_times_its_distance():
    x = flow(road(0.0), rotated(road(0.0), (0, 0.02, 0)))
    aside_m, ahead_m = 0.1 * x[2, 6:, 13:-13], road_centres(12, 40)[6:, 13:-13, 1]
    assert np.abs(aside_m / ahead_m + 0.02).mean() < 0.001


def test_a_road_without_marks_does_not_move():
    view = texture()
    view[84:] = 255  # snow, or too much light
    assert not flow(view, view)[2:4].any()


def test_nothing_moves_between_equal_images():
    moved = np.delete(flow(texture(), texture()), [4, 5, 8], axis=0)  # but for where corners are
    assert np.abs(moved).max() < 0.05


@pytest.mark.parametrize(("light", "veil", "within_px"), [
    (1.0, 0.0, 0.07), (0.9, 25.0, 0.1), (1 - 0.4 * np.linspace(-1, 1, 640)**2, 0.0, 0.1)],
    ids=["as before", "sun in the lens", "dark at the sides"])
@pytest.mark.parametrize(("front_end", "least"), [(DenseFlow, 0.9), (FineFlow, 0.5)])  # share of places
def test_corners_are_found_where_the_camera_turned_them_to(light, veil, within_px, front_end, least):
    r, image = (0.004, -0.03, 0.01), cv2.equalizeHist(texture())
    x = flow(image, (light * rotated(image, r) + veil).clip(0, 255).astype(np.uint8), front_end)
    inside = (..., slice(1, -2), slice(3, -3))  # beyond, there is no partner, or it is too near
    corners = corners_in(x[None])[0].swapaxes(0, 1)[inside]
    places = CELL_CENTRES.transpose(2, 0, 1)[:, None][inside] + corners[:2]
    homography = CANONICAL.K @ geometry.rotation_exp(-np.array(r)) @ np.linalg.inv(CANONICAL.K)
    to = np.einsum("ij,jnrc->inrc", homography, np.concatenate([places, np.ones_like(places[:1])]))
    error = np.abs(places + corners[2:4] - to[:2] / to[2]).max(axis=0)
    found = corners[4] == 1
    there = corners_in(flow(image, image, front_end)[None])[0, :, 4][inside] == 1
    assert found[there].mean() > 0.85 and found.mean() > least
    assert np.median(error[found]) < within_px


@pytest.mark.parametrize("fx", [310, 380, 640])
@pytest.mark.parametrize("sigma", [5, 12])
@FLOWS
def test_noise_is_not_found_again(fx, sigma, front_end):
    camera, rng = Camera(2 * fx, fx, fx, fx, fx - 0.5, fx / 2 - 0.5), np.random.default_rng(0)
    see = CanonicalView(camera, "grey")
    noisy = (see(rng.normal(100, sigma, (fx, 2 * fx)).clip(0, 255).astype(np.uint8)) for _ in range(2))
    assert corners_in(front_end()(*noisy)[None])[:, :, 4].mean() < 0.1


def test_no_corner_is_sought_where_it_deforms_too_much_to_help():
    assert corners_in(flow(texture(), texture())[None])[0, 0, 4].any(axis=1)[:NEAR].all()
    assert not corners_in(flow(texture(), texture())[None])[0, 0, 4, NEAR:].any()


@FLOWS
def test_in_a_blank_view_there_are_no_corners(front_end):
    blank = np.full((192, 640), 128, np.uint8)
    assert not flow(blank, blank, front_end)[4:].any()


@pytest.mark.parametrize(("image", "other", "channels"), [
    (texture(), rotated(texture(), (0.005, 0.02, 0.01)), slice(0, 2)),
    (road(0.0), road(0.9, 0.2), slice(2, 4)),
    (road(0.0), road(0.9, 0.2), slice(24, 28))])
def test_the_mirrored_grid_is_the_flow_of_mirrored_images(image, other, channels):
    seen_in_mirror = flow(image[:, ::-1].copy(), other[:, ::-1].copy(), FineFlow)
    difference = seen_in_mirror - mirrored(flow(image, other, FineFlow))
    assert np.median(np.abs(difference[channels, 1:-1, 3:-3])) < 0.1
    assert np.abs(difference[channels, 1:-1, 3:-3]).mean() < 0.2


def test_stacked_frames_in_a_mirror_are_the_stacked_mirrored_frames():
    a, b = np.random.default_rng(0).integers(0, 256, (2, 192, 640, 3), np.uint8)
    stack, see = StackedFrames(), CanonicalView(CANONICAL, "colour")
    stacked, in_mirror = stack(see(a), see(b)), stack(see(a[:, ::-1]), see(b[:, ::-1]))
    np.testing.assert_array_equal(in_mirror, mirrored(stacked))
    np.testing.assert_array_equal(stacked, np.dstack([a, b]).transpose(2, 0, 1))


@pytest.mark.parametrize(("front_end", "most"), [(DenseFlow, 0.02), (FineFlow, 0.002)])  # share of corners
def test_what_only_noise_made_a_corner_is_not_found_again(front_end, most):
    noise = np.random.default_rng(0).normal(120, 10, (2, 192, 640)).clip(0, 255).astype(np.uint8)
    assert corners_in(flow(*noise, front_end)[None])[:, :, 4].mean() < most


@FLOWS
def test_neither_an_edge_nor_noise_is_a_corner(front_end):
    x, y = np.meshgrid(np.arange(640), np.arange(192))
    edge = 50 + 150 / (1 + np.exp(-(x + 0.3 * y - 340) / 2))
    view = (edge + np.random.default_rng(0).normal(0, 5, edge.shape)).clip(0, 255).astype(np.uint8)
    assert not corners_in(flow(view, view, front_end)[None])[:, :, 4].any()
