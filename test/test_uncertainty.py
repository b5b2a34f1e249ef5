"""Lasting errors: the covariance that is carried along is the spread of many drives that have them."""

import numpy as np
import pytest

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.uncertainty import ErrorModel, ErrorState

MODEL = ErrorModel((0.0, 3.0, 1000.0), ((0.5,) * 6, (0.3, 0.2, 0.4, 0.3, 0.5, 0.0), (0.4,) * 6))
SIGMA = np.diag([0.02, 0.01, 0.05, 0.001, 0.002, 0.001])
MOTION = geometry.exp(np.array([0.1, 0.0, 0.8, 0.0, 0.02, 0.0]))


def spread(model: ErrorModel, motions: int, drives: int) -> np.ndarray:
    """(drives, 6) errors in the tangent space at the right of the last pose."""
    rng, (lengths, variances) = np.random.default_rng(0), map(np.array, (model.lengths, model.variances))
    kept = np.exp(-1 / np.maximum(lengths, 1e-9))[:, None]
    values = rng.normal(size=(drives, *variances.shape)) * np.sqrt(variances)
    poses = np.tile(np.eye(4), (drives, 1, 1))
    for _ in range(motions):
        poses = poses @ MOTION @ geometry.exp(values.sum(axis=1) @ SIGMA.T)
        fresh = rng.normal(size=values.shape) * np.sqrt(variances * (1 - kept**2))
        values = kept * values + fresh
    truth = np.linalg.matrix_power(MOTION, motions)
    return geometry.log(geometry.inverse(truth) @ poses)


@pytest.mark.parametrize("motions", [1, 5, 60])
def test_covariance_is_the_spread_of_drives_with_lasting_errors(motions):
    errors = ErrorState(MODEL)
    state = errors.start(np.zeros((6, 6)))
    for _ in range(motions):
        state = errors.moved(state, MOTION, SIGMA)
    found = spread(MODEL, motions, 2000)
    nees = np.einsum("ni,ij,nj->n", found, np.linalg.inv(state[:6, :6]), found)
    assert nees.mean() == pytest.approx(6, abs=0.5)
    assert (nees < 12.59).mean() == pytest.approx(0.95, abs=0.02)


def test_what_lasts_makes_the_pose_less_certain_than_what_is_new_each_time():
    sizes = []
    for length in (0.0, 3.0, 1000.0):
        errors = ErrorState(ErrorModel((length,), ((1.0,) * 6,)))
        state = errors.start(np.zeros((6, 6)))
        for _ in range(100):
            state = errors.moved(state, MOTION, SIGMA)
        sizes.append(np.trace(state[:3, :3]))
    assert sizes[1] > 3 * sizes[0] and sizes[2] > 5 * sizes[1]


@pytest.mark.parametrize("lengths, variances", [
    ((0.0,), ()), ((0.0,), ((1.0,) * 5,)), ((-1.0,), ((1.0,) * 6,)), ((0.0,), ((0.0,) * 6,)),
    ((0.0,), ((float("nan"),) * 6,)), ((), ())])
def test_a_model_that_is_none_is_refused(lengths, variances):
    with pytest.raises(InputError, match="error model"):
        ErrorModel(lengths, variances)
