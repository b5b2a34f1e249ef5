"""Errors that are as large as their covariances say are found to be so."""

import numpy as np
import pytest

from distill_vo import geometry
from distill_vo.odometry import Estimate, Status
from training.nees import inside, normalised, shares, twist_errors


@pytest.fixture
def truthful():
    """40,000 errors of one covariance whose axes hang together: (N, 6) and (N, 6, 6)."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(6, 6)) * [1, 1, 1, 0.01, 0.01, 0.01]
    return rng.normal(size=(40_000, 6)) @ A, np.tile(A.T @ A, (40_000, 1, 1))


def test_the_normalised_squares_of_true_errors_are_six_on_average(truthful):
    assert normalised(*truthful).mean() == pytest.approx(6, abs=0.1)


def test_of_true_errors_68_in_100_are_within_one_sigma_and_95_within_two(truthful):
    found = shares(inside(*truthful))
    for name, share in (("share_within_1_sigma", 0.6827), ("share_within_2_sigma", 0.9545)):
        assert found[name]["all"] == pytest.approx(share, abs=0.005)
        assert found[name]["axes"] == pytest.approx([share] * 6, abs=0.01)


def test_errors_twice_as_large_are_not_taken_for_true(truthful):
    errors, covariances = truthful
    assert normalised(2 * errors, covariances).mean() == pytest.approx(24, abs=0.4)
    assert shares(inside(2 * errors, covariances))["share_within_1_sigma"]["all"] < 0.4


def test_true_rotations_that_err_by_half_a_degree_in_half_a_second_err_by_one_a_second():
    """Or by less where there are two, to an image and on from it, and the true twist is their mean."""
    turns = geometry.from_motion(np.array([[0, 0, 0, 0, yaw, 0] for yaw in (0, 0.2, 0.6)]))
    estimates = [Estimate(k * 500_000_000, T, np.eye(6), np.zeros(6), np.eye(6), Status.TRACKING)
                 for k, T in enumerate(turns)]
    errors, covariances = twist_errors(estimates, turns, np.radians(0.5))
    np.testing.assert_allclose(errors, [[0, 0, 0, 0, -0.6, 0], [0, 0, 0, 0, -0.8, 0]], atol=1e-12)
    for covariance, share in zip(covariances, (0.5, 1), strict=True):
        added = np.degrees(np.degrees(covariance - np.eye(6))).diagonal()
        np.testing.assert_allclose(added, share * np.array([0, 0, 0, 1, 1, 1]), atol=1e-6)
