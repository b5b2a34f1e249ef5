"""What inertia says to single motions: outliers are kept out, braking is followed, the way stays as long."""

import numpy as np
import pytest

from distill_vo.inertia import ACCELERATION, AHEAD, LASTING_S, Inertia

PERIOD_S, SHARE = 0.1, 0.05  # of the way, one sigma


def followed(speeds: np.ndarray, said: np.ndarray | None = None,
             inertia: Inertia | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Speeds (N,) m/s, and what was said of them -> (N,) speeds in line with inertia and their sigma, m/s."""
    inertia, found, sigmas = inertia or Inertia(), [], []
    for speed in speeds if said is None else said:
        motion, sigma = np.zeros(6), np.full(6, 0.01)
        motion[AHEAD] = speed * PERIOD_S
        sigma[AHEAD] = max(SHARE * abs(speed), 0.02) * PERIOD_S
        motion, sigma, inertia = inertia.at_keyframe().update(motion, sigma, PERIOD_S)
        found.append(motion[AHEAD] / PERIOD_S)
        sigmas.append(sigma[AHEAD] / PERIOD_S)
    return np.array(found), np.array(sigmas)


def drive(frames: int, rng) -> np.ndarray:
    """(N,) m/s around 12 m/s, whose acceleration is the process that the filter knows."""
    dt = PERIOD_S / 10
    kept, a, v, speeds = np.exp(-dt / LASTING_S), 0.0, 12.0, []
    for _ in range(frames * 10):
        a = kept * a + ACCELERATION * np.sqrt(1 - kept**2) * rng.normal()
        v += a * dt
        speeds.append(v)
    return np.reshape(speeds, (frames, 10)).mean(axis=1)


def test_one_motion_said_half_as_long_again_hardly_changes_the_speed():
    speeds = np.full(30, 10.0)
    said = speeds.copy()
    said[20] = 15.0
    assert np.abs(followed(speeds, said)[0] - speeds).max() < 0.5


def test_a_recording_that_begins_at_speed_or_at_a_stand_is_taken_as_it_is():
    found, _ = followed(np.array([14.0, 14.0, 14.0]))
    assert found == pytest.approx([14.0] * 3, rel=0.01)
    assert followed(np.zeros(5))[0] == pytest.approx(np.zeros(5), abs=1e-9)


@pytest.mark.parametrize("ahead_m", [0.1, -0.1])
def test_a_motion_that_leads_elsewhere_is_not_drawn_out_to_the_length_of_the_way(ahead_m):
    inertia = Inertia(np.array([0.0, 10.0, 0.0]), np.diag([0.0, 0.5, 0.5]) ** 2)
    said = np.array([0.05, -0.3, ahead_m, 0.0, 0.0, 0.0])  # where 1 m was to be expected
    motion, _, _ = inertia.update(said, np.full(6, 0.2), PERIOD_S)
    assert motion[AHEAD] == pytest.approx(1.0, abs=0.1)
    assert (np.abs(motion[:AHEAD]) <= 2 * np.abs(said[:AHEAD])).all()


@pytest.mark.parametrize("brakes", [3.0, 8.0])
def test_braking_is_followed(brakes):
    speeds = np.r_[np.full(20, 14.0), np.maximum(14.0 - brakes * PERIOD_S * np.arange(60), 0)]
    off = followed(speeds)[0] - speeds
    assert np.abs(off).max() < 1.5 and np.abs(off.sum() * PERIOD_S) < 1.5


def test_speeds_are_nearer_the_truth_than_single_motions_and_as_far_off_as_said():
    rng = np.random.default_rng(0)
    speeds = np.array([drive(60, rng) for _ in range(60)])
    said = speeds * (1 + SHARE * rng.normal(size=speeds.shape))
    found, sigmas = (np.array(part)[:, 20:] for part in zip(*map(followed, speeds, said), strict=True))
    off = found - speeds[:, 20:]
    assert np.sqrt((off**2).mean()) < 0.7 * SHARE * 12
    assert ((off / sigmas) ** 2).mean() == pytest.approx(1, abs=0.25)
    assert found.mean() == pytest.approx(speeds[:, 20:].mean(), rel=0.005)  # no way is lost


def test_a_car_that_squats_is_as_fast_as_one_that_does_not():
    speeds = 12 + 4 * np.sin(np.arange(300) / 15)
    said = speeds * (1 - 0.03 * np.gradient(speeds) / PERIOD_S)
    knowing, unknowing = (followed(speeds, said, Inertia(squat=squat))[0] - speeds for squat in (0.03, 0.0))
    assert np.sqrt((knowing[20:]**2).mean()) < 0.8 * np.sqrt((unknowing[20:]**2).mean())


def test_it_does_not_matter_in_how_many_steps_time_goes_by():
    start = Inertia(np.array([0.0, 9.0, 1.5]), np.diag([0.0, 0.2, 0.6]))
    once, twice = start.predict(0.5), start.predict(0.2).predict(0.3)
    np.testing.assert_allclose(twice.state, once.state)
    np.testing.assert_allclose(twice.covariance, once.covariance)


def test_the_way_keeps_its_direction():
    inertia, sigma = Inertia(), np.full(6, 0.05)
    for _ in range(20):
        _, _, inertia = inertia.at_keyframe().update(np.array([0.3, -0.1, 1.0, 0, 0.02, 0]), sigma, PERIOD_S)
    said = np.array([0.6, -0.2, 2.0, 0.01, 0.02, 0.03])
    motion, _, _ = inertia.at_keyframe().update(said, sigma, PERIOD_S)
    assert motion[AHEAD] == pytest.approx(1.0, abs=0.1)
    np.testing.assert_allclose(motion[:3] / motion[AHEAD], said[:3] / said[AHEAD])
    np.testing.assert_array_equal(motion[3:], said[3:])


def test_what_surprises_is_less_certain():
    _, calm = followed(np.full(20, 10.0))
    _, surprised = followed(np.full(20, 10.0), np.r_[np.full(19, 10.0), 15.0])
    assert surprised[-1] > 2 * calm[-1]


@pytest.mark.parametrize("stood_s", [60.0, 3600.0])
def test_a_vehicle_that_pulls_away_after_a_long_stand_is_taken_as_it_is(stood_s):
    # The keyframe is of the time it stood; it has come 0.4 m, and now goes 1.2 m/s.
    inertia = Inertia(covariance=np.zeros((3, 3)))
    motion, sigma = np.zeros(6), np.full(6, 0.02)
    motion[AHEAD] = 0.4
    first, spread, inertia = inertia.update(motion, sigma, stood_s)
    assert first[AHEAD] == pytest.approx(0.4, abs=1e-3) and spread[AHEAD] == pytest.approx(0.02, rel=0.01)
    assert np.linalg.eigvalsh(inertia.covariance).min() > -1e-9
    motion[AHEAD] = 0.12
    second, _, _ = inertia.at_keyframe().update(motion, sigma, PERIOD_S)
    assert second[AHEAD] == pytest.approx(0.12, abs=0.01)


def test_one_that_braked_and_stands_is_as_certain_as_what_is_seen():
    # By the acceleration of its last keyframe it would be 5 m behind.
    inertia = Inertia(np.array([0.0, -0.1, -1.7]), np.diag([0.0, 0.1, 0.8])**2, squat=0.03)
    motion, sigma = np.zeros(6), np.full(6, 0.02)
    motion, sigma, _ = inertia.update(motion, sigma, 3.5)
    assert motion[AHEAD] == pytest.approx(0, abs=1e-3) and sigma[AHEAD] == pytest.approx(0.02, rel=0.02)
