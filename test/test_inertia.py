"""What inertia says to single motions: outliers are kept out, braking is followed, the way stays as long."""

import numpy as np
import pytest

from distill_vo.inertia import ACCELERATION, AHEAD, LASTING_S, Inertia

PERIOD_S, SHARE = 0.1, 0.05  # of the way, one sigma


def followed(speeds: np.ndarray, said: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Speeds (N,) m/s, and what was said of them -> (N,) speeds in line with inertia and their sigma, m/s."""
    inertia, found, sigmas = Inertia(), [], []
    for speed in speeds if said is None else said:
        motion, sigma = np.full(6, 0.01), np.full(6, 0.01)
        motion[AHEAD] = speed * PERIOD_S
        sigma[AHEAD] = max(SHARE * abs(speed), 0.02) * PERIOD_S
        motion, sigma, inertia = inertia.agree(motion, sigma, PERIOD_S)
        assert (np.delete(motion, AHEAD) == 0.01).all() and (np.delete(sigma, AHEAD) == 0.01).all()
        found.append(motion[AHEAD] / PERIOD_S)
        sigmas.append(sigma[AHEAD] / PERIOD_S)
    return np.array(found), np.array(sigmas)


def drive(frames: int, rng) -> np.ndarray:
    """(N,) m/s around 12 m/s, whose acceleration is the process that the filter knows."""
    steps, dt = 10, PERIOD_S / 10
    kept, a, v, speeds = np.exp(-dt / LASTING_S), 0.0, 12.0, []
    for k in range(frames * steps):
        a = kept * a + ACCELERATION * np.sqrt(1 - kept**2) * rng.normal()
        v += a * dt
        if k % steps == steps - 1:
            speeds.append(v)
    return np.array(speeds)


def test_one_motion_said_half_as_long_again_hardly_changes_the_speed():
    speeds = np.full(30, 10.0)
    said = speeds.copy()
    said[20] = 15.0
    assert np.abs(followed(speeds, said)[0] - speeds).max() < 0.5


def test_a_vehicle_that_starts_moving_or_stands_is_taken_as_it_is():
    found, _ = followed(np.array([14.0, 14.0, 14.0]))
    assert found == pytest.approx([14.0] * 3, rel=0.01)
    assert followed(np.zeros(5))[0] == pytest.approx(np.zeros(5), abs=1e-9)


@pytest.mark.parametrize("brakes", [3.0, 8.0])
def test_braking_is_followed(brakes):
    speeds = np.r_[np.full(20, 14.0), np.maximum(14.0 - brakes * PERIOD_S * np.arange(60), 0)]
    off = followed(speeds)[0] - speeds
    assert np.abs(off).max() < 1.2 and np.abs(off.sum() * PERIOD_S) < 1.5


def test_speeds_are_nearer_the_truth_than_single_motions_and_as_far_off_as_said():
    rng = np.random.default_rng(0)
    speeds = np.array([drive(60, rng) for _ in range(60)])
    said = speeds * (1 + SHARE * rng.normal(size=speeds.shape))
    found, sigmas = (np.array(part)[:, 20:] for part in zip(*map(followed, speeds, said), strict=True))
    off = found - speeds[:, 20:]
    assert np.sqrt((off**2).mean()) < 0.7 * SHARE * 12
    assert ((off / sigmas) ** 2).mean() == pytest.approx(1, abs=0.25)
    assert found.mean() == pytest.approx(speeds[:, 20:].mean(), rel=0.005)  # no way is lost


def test_it_does_not_matter_in_how_many_steps_time_goes_by():
    start = Inertia(np.array([9.0, 1.5]), np.array([[0.2, 0.05], [0.05, 0.6]]))
    once, twice = start.after(0.5), start.after(0.2).after(0.3)
    np.testing.assert_allclose(twice.state, once.state)
    np.testing.assert_allclose(twice.covariance, once.covariance)
