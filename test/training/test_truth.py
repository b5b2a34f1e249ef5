"""How far off a truth is shows in what two methods say alike, and only in that."""

from dataclasses import replace

import numpy as np
import pytest

from distill_vo import geometry
from distill_vo.camera import Camera
from distill_vo.odometry import Estimate, Status
from distill_vo.sources.source import Frame, Source, level_mounting
from distill_vo.trajectory import Trajectory
from training.data.rehearsal import RehearsalSettings, render_sequence
from training.truth import common_sigma, true_and_seen, truth_sigma

SIGMA = np.radians([0.05, 0.02, 0.01])  # of the truth


@pytest.fixture
def methods():
    """Errors (2, 20,000, 3) of two methods, each with its own, against the same wrong truth."""
    rng = np.random.default_rng(0)
    own = np.radians(0.02) * rng.normal(size=(2, 20_000, 3))
    return own - SIGMA * rng.normal(size=(20_000, 3))


def test_two_methods_that_err_on_their_own_show_how_far_off_the_truth_is(methods):
    np.testing.assert_allclose(common_sigma(*methods), SIGMA, rtol=0.05)


def test_what_lasts_is_not_the_truths_and_what_is_grossly_wrong_or_missing_does_not_count(methods):
    first, second = methods + np.radians(0.1)  # a camera that is turned
    first[::50] = np.radians(20)
    second[7::50] = np.nan
    np.testing.assert_allclose(common_sigma(first, second), SIGMA, rtol=0.05)


def test_methods_that_agree_with_the_truth_find_it_exact():
    rng = np.random.default_rng(0)
    first, second = np.radians(0.05) * rng.normal(size=(2, 20_000, 3))
    assert (common_sigma(first, second) < np.radians(0.01)).all()


@pytest.fixture(scope="module")
def street():
    """A rendered source whose truth is exact, seen from a base on the road."""
    settings = RehearsalSettings(seed=5, frames=16, width=1280, height=384, focal=760.0, cx=639.5, cy=182.5)
    drive = render_sequence(settings, 0)
    frames = [Frame(frame.stamp_ns, frame.image) for frame in drive]
    camera = Camera.from_projection(drive.K, settings.width, settings.height, drive.camera_height)
    base_T_camera = level_mounting(drive.camera_height)
    poses = base_T_camera @ drive.poses @ geometry.inverse(base_T_camera)
    truth = Trajectory.from_poses([frame.stamp_ns for frame in frames], poses)
    return Source("street", camera, base_T_camera, len(frames), lambda: iter(frames), truth)


def turned(street: Source, off: np.ndarray) -> np.ndarray:
    """Its poses (N, 4, 4), each turned by `off` (N, 3) about its own axes, rad."""
    return street.truth.poses @ geometry.from_motion(np.hstack([np.zeros_like(off), off]))


def test_a_streets_images_show_how_far_off_its_truth_was_made(street):
    off = np.radians([0.08, 0.02, 0.04]) * np.random.default_rng(1).normal(size=(len(street), 3))
    estimates = [Estimate(stamp, pose, np.eye(6), np.zeros(6), np.eye(6), Status.TRACKING)
                 for stamp, pose in zip(street.truth.stamps_ns.tolist(), street.truth.poses, strict=True)]
    turns, found = np.diff(off, axis=0), truth_sigma(street, estimates, turned(street, off))
    np.testing.assert_allclose(found, common_sigma(turns, turns), rtol=0.2)


def test_rotations_by_images_are_those_that_were_driven_and_positions_stay(street):
    drift = np.radians(0.15) * np.arange(len(street))[:, None] * [0, 0, 1]  # in the end 2.2 degrees
    truth = Trajectory.from_poses(street.truth.stamps_ns, turned(street, drift))
    true, seen = true_and_seen(replace(street, truth=truth))
    left = np.swapaxes(street.truth.poses[:, :3, :3], 1, 2) @ seen.poses[:, :3, :3]
    assert np.degrees(np.abs(geometry.rotation_log(left))).max() < 0.3
    np.testing.assert_array_equal(seen.positions, truth.positions)
    np.testing.assert_allclose(true.poses, truth.poses, atol=1e-12)


def test_where_images_show_nothing_rotations_are_the_truths(street):
    dark = [Frame(frame.stamp_ns, np.zeros_like(frame.image)) for frame in street]
    dark[3] = Frame(dark[3].stamp_ns, None)  # unreadable: left out
    for way in true_and_seen(replace(street, frames=lambda: iter(dark))):
        np.testing.assert_allclose(way.poses, np.delete(street.truth.poses, 3, axis=0), atol=1e-12)
