"""Corners and road correct the student's motion, as far as they tell it and no further."""

import numpy as np
import pytest
from made_up import mirrored as in_mirror
from made_up import rays, seen

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.frame import (
    CELL_CENTRES,
    DOWN_IS_NEARER,
    LOOKS_DOWN,
    ROAD_PIXEL_M,
    road_centres,
    seen_on_road,
)
from distill_vo.frontend import as_channels
from distill_vo.networks import MIRROR_SIGNS
from distill_vo.refine import refine

TRUE = np.array([0.02, -0.015, 0.9, 0.002, -0.01, 0.003])
SIGMA = np.array([0.02, 0.02, 0.1, 0.002, 0.002, 0.002])
DOWN = np.array([0.0, np.cos(LOOKS_DOWN), np.sin(LOOKS_DOWN)])
ROAD_CELLS = road_centres(12, 40)
FINE = pytest.mark.parametrize("fine", [False, True], ids=["dense", "fine"])


def world(motion: np.ndarray, seed: int = 0, fine: bool = False) -> np.ndarray:
    """(9 or 28, 12, 40) exact flow of a street of corners at random depths, and of its road."""
    T, rng = geometry.from_motion(motion), np.random.default_rng(seed)

    def corner(inside: np.ndarray) -> list[np.ndarray]:
        at, back = CELL_CENTRES + inside, geometry.inverse(T)
        points = rays(at) * rng.uniform(5, 60, (12, 40, 1))
        moved = seen(points @ back[:3, :3].T + back[:3, 3]) - at
        return [np.broadcast_to(inside, moved.shape), moved, np.ones((12, 40, 1))]

    first = corner(np.zeros(2))
    parts = [first[1], road_flow(T, ROAD_CELLS), *first]
    if fine:
        parts += [part for inside in ([-4, 3], [3, -4], [5, 5]) for part in corner(np.array(inside))]
    x = np.concatenate(parts, -1).transpose(2, 0, 1)
    patches = road_flow(T, road_centres(24, 20)).transpose(2, 0, 1)
    return np.concatenate([x, as_channels(patches[None])[0]]) if fine else x


def road_flow(T: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """How places of the road (..., 2), metres to the right and ahead, moved in pixels of 0.1 m."""
    road = rays(np.stack(seen_on_road(ground[..., 0], ground[..., 1]), -1))
    now = road * (CANONICAL.mount_height_m / (road @ DOWN))[..., None]
    before = now @ T[:3, :3].T + T[:3, 3]
    z = CANONICAL.mount_height_m / (before[..., 1] / before[..., 2] + np.tan(LOOKS_DOWN))
    before = np.stack([before[..., 0] / before[..., 2] * z, z], -1)
    return (ground - before) / ROAD_PIXEL_M * DOWN_IS_NEARER


def corrected(x: np.ndarray, said: np.ndarray) -> np.ndarray:
    return refine(x, said, SIGMA)[0]


@pytest.mark.parametrize("seed", range(4))
@FINE
def test_a_student_that_errs_is_set_right(seed, fine):
    said = TRUE + SIGMA * np.random.default_rng(seed).choice([-1, 1], 6)
    error = np.abs(corrected(world(TRUE, fine=fine), said) - TRUE)
    assert (error < 0.1 * SIGMA).all()


def test_four_corners_in_a_cell_and_finer_patches_of_road_tell_more():
    (_, coarse), (_, fine) = (refine(world(TRUE, fine=fine), TRUE, SIGMA) for fine in (False, True))
    assert (fine < 0.8 * coarse).all()


def test_a_student_that_is_right_is_left_alone():
    np.testing.assert_allclose(corrected(world(TRUE), TRUE), TRUE, atol=1e-4)


def test_what_moves_by_itself_is_not_believed():
    x = world(TRUE)
    x[6:8, 4:9, 10:22] += np.array([6.0, 1.0])[:, None, None]  # another car
    x[2:4, :7, 14:26] = 0.0  # and, in the lane, one that goes as fast as the camera
    assert (np.abs(corrected(x, TRUE + 0.7 * SIGMA) - TRUE) < 0.3 * SIGMA).all()


def test_near_corners_that_are_off_say_less_than_far_ones_and_of_smaller_windows_more():
    def off_by_corners_in(rows: slice, fine: bool = False) -> float:
        x = world(TRUE, fine=fine)
        x[6:24:5, rows, 5:20] += 0.3  # pixels
        return np.abs((corrected(x, TRUE) - TRUE) / SIGMA).max()

    assert off_by_corners_in(slice(7, 10)) < off_by_corners_in(slice(3, 6))
    assert off_by_corners_in(slice(7, 10), fine=True) > off_by_corners_in(slice(7, 10))


def test_corners_straight_ahead_where_others_drive_say_less_than_those_beside_them():
    def off_by_corners_in(columns: slice) -> float:
        x = world(TRUE)
        x[7, 4:7, columns] += 0.3  # pixels
        return np.abs((corrected(x, TRUE) - TRUE) / SIGMA).max()

    assert off_by_corners_in(slice(19, 21)) < 0.5 * min(off_by_corners_in(slice(k, k + 2)) for k in (17, 21))


@pytest.mark.parametrize("turn", [0.0, 0.02, -0.04, 0.08])
def test_what_stands_beside_the_lane_does_not_make_the_way_longer(turn):
    true = np.array([0.0, -0.015, 0.9, 0.0, turn, 0.0])
    x, (aside, ahead) = world(true), ROAD_CELLS.transpose(2, 0, 1)
    x[4:] = 0.0  # no corner tells
    alone = corrected(x, true)
    radius = 0.9 / turn if turn else 1e9
    beside = np.abs(np.hypot(aside - radius, ahead) - abs(radius)) > 2.0
    beside |= ahead > 0.9 * abs(radius)  # and what is straight ahead of a car that turns
    x[2:4, beside] *= 1.3  # kerbs and hedges: nearer than the road under them
    np.testing.assert_allclose(corrected(x, true), alone, atol=1e-12)
    assert np.abs(alone - true)[2] < 0.001


def test_in_the_sharpest_bend_the_nearest_road_is_still_seen():
    true = np.array([0.0, -0.015, 0.4, 0.0, 0.06, 0.0])
    x, said = world(true), true + np.array([0, 0, 0.1, 0, 0, 0])
    x[2:4, :-1] = 1e4  # walls stand beyond it
    x[4:] = 0.0  # and no corner anywhere
    assert np.abs(corrected(x, said) - true)[2] < 0.065  # of 0.1


def test_without_the_road_the_way_is_as_long_as_the_student_says():
    x = world(TRUE)
    x[2:4] = 1e4  # nothing that fits any road
    said = TRUE * np.r_[1.1, 1.1, 1.1, 1, 1, 1]
    found = corrected(x, said)
    assert np.linalg.norm(found[:3]) == pytest.approx(np.linalg.norm(said[:3]), rel=0.01)
    np.testing.assert_allclose(found[3:], TRUE[3:], atol=3e-4)


def test_where_geometry_says_nothing_motion_and_sigma_stay_the_students():
    x = world(TRUE)
    x[4:], x[2:4] = 0.0, 1e4
    motion, sigma = refine(x, TRUE, SIGMA)
    assert (np.abs(motion - TRUE) < 0.2 * SIGMA).all()
    np.testing.assert_allclose(sigma, SIGMA, rtol=0.1)


@FINE
def test_sigma_shrinks_by_what_is_seen_and_a_mirror_changes_none_of_it(fine):
    x, said = world(TRUE, fine=fine), TRUE + 0.5 * SIGMA
    motion, sigma = refine(x, said, SIGMA)
    mirrored, of_mirrored = refine(in_mirror(x), MIRROR_SIGNS * said, SIGMA)
    assert (sigma < 0.7 * SIGMA).all()
    np.testing.assert_allclose(mirrored, MIRROR_SIGNS * motion, atol=1e-6)
    np.testing.assert_allclose(of_mirrored, sigma, rtol=1e-4)


def test_where_student_and_geometry_disagree_all_of_it_is_less_certain():
    (_, agreed), (_, surprised) = (refine(world(TRUE), TRUE + off * SIGMA * np.eye(6)[4], SIGMA)
                                   for off in (0, 5))
    assert (surprised[[0, 3, 5]] > 1.5 * agreed[[0, 3, 5]]).all()


def test_a_student_is_never_believed_where_aside_a_camera_looks():
    certain = SIGMA * np.r_[0.01, np.ones(5)]
    motion, _ = refine(world(TRUE), TRUE + 0.006 * np.eye(6)[0], certain)
    assert np.abs(motion - TRUE)[0] < 0.002


def test_a_correction_is_sure_to_a_tenth_of_itself_at_best():
    said = TRUE + 20 * SIGMA * np.eye(6)[4]  # of the turn, by far more than its sigma
    motion, sigma = refine(world(TRUE), said, SIGMA)
    assert sigma[4] >= 0.099 * np.abs(said[4] - motion[4])
