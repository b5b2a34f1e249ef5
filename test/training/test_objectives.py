"""What each objective makes of a batch and of what the teacher says of it, worked out by hand in NumPy.

Two pairs, of the first the teacher is trusted by three quarters, of the second not at all.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from distill_vo.networks import Regression
from training import objectives
from training.hints import Taught, TeacherOutputs
from training.objectives import ObjectiveSettings

ALPHA, WEIGHT = 0.3, 100.0
rng = np.random.default_rng(0)
SAID, TAUGHT, LOG_SIGMA, HINT, PSI = (rng.normal(size=(2, 1, n)) for n in (6, 6, 6, 5, 5))
TRUTH = np.zeros((2, 1, 6))
PHI, E = np.array([0.75, 0.0]), np.array([1e9, 1e-9])  # e: the student is better than it, and worse


def squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(2,) squared errors of translation, and of rotation by their weight."""
    return ((a - b)[:, 0]**2 @ np.r_[np.ones(3), np.full(3, WEIGHT)])


S, M = squared(SAID, TRUTH), squared(SAID, TAUGHT)
SPREAD = np.exp(LOG_SIGMA)
LAPLACE = (np.abs(SAID - TAUGHT) / SPREAD + LOG_SIGMA).sum((1, 2))
GAUSSIAN = ((SAID - TAUGHT)**2 / SPREAD**2 / 2 + LOG_SIGMA).sum((1, 2))
EXPECTED = {
    "student_only": S, "minimum": np.minimum(S, M), "additional": ALPHA * S + (1 - ALPHA) * M,
    "upper_bound": ALPHA * S + (1 - ALPHA) * M * [0, 1], "attentive": ALPHA * S + (1 - ALPHA) * PHI * M,
    "probabilistic_laplace": ALPHA * S + (1 - ALPHA) * LAPLACE,
    "probabilistic_gaussian": ALPHA * S + (1 - ALPHA) * GAUSSIAN}


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values)


def batch_and_teacher():
    taught = Taught(tensor(TAUGHT), tensor(PSI), None, tensor(E)[:, None], tensor(PHI)[:, None])
    said = Regression(tensor(SAID), tensor(LOG_SIGMA), tensor(HINT), logits=None, state=None)
    return said, SimpleNamespace(motions=tensor(TRUTH)), SimpleNamespace(of=lambda batch: taught)


@pytest.mark.parametrize("name", EXPECTED)
def test_objectives(name):
    said, batch, teacher = batch_and_teacher()
    settings = ObjectiveSettings(name, alpha=ALPHA, rotation_weight=WEIGHT)
    network = SimpleNamespace(labels=None)  # for classifiers
    found = objectives.regression(settings, teacher, network)(said, batch)
    term = "student" if name == "student_only" else name
    np.testing.assert_allclose(found[term], EXPECTED[name].mean())


@pytest.mark.parametrize("name, phi", [("ht", np.ones(2)), ("aht", PHI)])
def test_hints(name, phi):
    said, batch, teacher = batch_and_teacher()
    found = objectives.hint(ObjectiveSettings(hint=name), teacher)(said, batch)
    np.testing.assert_allclose(found[name], (phi * ((PSI - HINT)[:, 0]**2).sum(1)).mean())


@pytest.mark.parametrize("eta, divisor", [("range", 10.0), ("quantile", 4.0)])
def test_trust_is_one_less_the_error_by_its_range_or_by_a_quantile_that_no_outlier_stretches(eta, divisor):
    teacher = object.__new__(TeacherOutputs)
    teacher.error = torch.tensor([[0.0, 1.0, 2.0, 4.0, 10.0]])
    assert objectives.set_trust(teacher, ObjectiveSettings(eta=eta, eta_quantile=0.75)) == divisor
    np.testing.assert_allclose(teacher.trust[0], np.maximum(1 - np.array([0, 1, 2, 4, 10]) / divisor, 0))
