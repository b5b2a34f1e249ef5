"""How far off a truth is shows in what two methods say alike, and only in that."""

import numpy as np
import pytest

from distill_vo import geometry
from distill_vo.camera import Camera
from distill_vo.odometry import Estimate, Status
from distill_vo.sources.source import Frame, Source, level_mounting
from training.data.rehearsal import RehearsalSettings, render_sequence
from training.truth import common_sigma, truth_sigma

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


def test_a_streets_images_show_how_far_off_its_truth_was_made():
    settings = RehearsalSettings(seed=5, frames=16)
    street = render_sequence(settings, 0)
    frames = [Frame(frame.stamp_ns, frame.image) for frame in street]
    camera = Camera.from_projection(street.K, settings.width, settings.height, street.camera_height)
    base_T_camera = level_mounting(street.camera_height)
    source = Source("street", camera, base_T_camera, len(frames), lambda: iter(frames))
    poses = base_T_camera @ street.poses @ geometry.inverse(base_T_camera)
    estimates = [Estimate(frame.stamp_ns, pose, np.eye(6), np.zeros(6), np.eye(6), Status.TRACKING)
                 for frame, pose in zip(frames, poses, strict=True)]
    wrong = np.radians([0.08, 0.02, 0.04]) * np.random.default_rng(1).normal(size=(len(frames), 3))
    truth = poses @ geometry.from_motion(np.hstack([np.zeros_like(wrong), wrong]))
    turns = np.diff(wrong, axis=0)
    found = truth_sigma(source, estimates, truth)
    np.testing.assert_allclose(found, common_sigma(turns, turns), rtol=0.2)
