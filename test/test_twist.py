"""A twist is a mean over the last moment, and as uncertain as that and its changes make it."""

import numpy as np
import pytest
from knowing import SIGMA, KnowingStudent, image

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from distill_vo.odometry import VisualOdometry
from distill_vo.twist import Marks

MS = 1_000_000


def test_over_a_change_of_keyframe_twists_spread_as_their_covariance_says():
    """At 30 Hz: a keyframe at 0 and at 99 ms; the twist at 132 ms is over the motion since 33 ms."""
    truth = geometry.exp(np.arange(5)[:, None] * np.array([0.1, 0.02, 0.01, 0.02, -0.03, 0.05]))
    rng, C, nees = np.random.default_rng(0), np.diag(SIGMA**2), []
    expected = geometry.log(geometry.inverse(truth[1]) @ truth[4]) / 0.099
    for _ in range(2000):
        marks, key = Marks(0, truth[0]), truth[0]
        for k in range(1, 4):
            last = key @ geometry.inverse(truth[0]) @ truth[k] @ geometry.exp(SIGMA * rng.normal(size=6))
            (marks.add if k < 3 else marks.begin_at)(33 * k * MS, last, C, np.zeros(6))
        last = last @ geometry.inverse(truth[3]) @ truth[4] @ geometry.exp(SIGMA * rng.normal(size=6))
        error = marks.twist(132 * MS, last) - expected
        nees.append(error @ np.linalg.solve(marks.twist_covariance(132 * MS, last, C), error))
    assert np.mean(nees) == pytest.approx(6, abs=0.4)


@pytest.mark.parametrize("rate", [10, 30])
def test_the_faster_a_twist_changes_the_less_it_says_of_now(rate):
    """A car pitches at 1.2 Hz, on a road of bumps that end after five seconds."""
    t = np.arange(8 * rate) / rate
    is_bumpy, w = t < 5, 2 * np.pi * 1.2
    pitch, now = np.where(is_bumpy, np.sin(w * t), 0) * 0.01, np.where(is_bumpy, np.cos(w * t), 0) * 0.01 * w
    truth = np.array([geometry.exp(np.array([0, 0, 0, p, 0, 0])) for p in pitch])
    truth[:, 2, 3] = 10 * t
    odometry = VisualOdometry(KnowingStudent(truth), CANONICAL)
    estimates = [odometry.track(int(1e9 * s), image(i)) for i, s in enumerate(t)]
    errors = np.array([e.twist[3] for e in estimates]) - now
    variances = np.array([e.twist_covariance[3, 3] for e in estimates])
    bumpy = is_bumpy & (t > 2)
    assert np.mean(errors[bumpy]**2 / variances[bumpy]) == pytest.approx(1, abs=0.35)
    assert np.sqrt(variances[-1] / variances[bumpy].mean()) < 0.3
