"""Calibration finds the processes that errors were made of."""

from dataclasses import replace

import numpy as np
import pytest

from distill_vo.errors import InputError
from distill_vo.networks import NetworkSettings, PoseRegressor
from distill_vo.student import Student, StudentSettings
from training import calibrate
from training.calibrate import FOCAL_ERROR, HEIGHT_ERROR, LENGTHS, error_model, mistaken
from training.validate import Seen

SETTINGS = NetworkSettings("dense_flow", ((2, 2, 4),), (16,), hint_layer=1)


def test_processes_that_errors_were_drawn_from_are_found():
    rng = np.random.default_rng(0)
    true = np.array([[0.5] * 6, [0.3] * 6, [0.0] * 6, [0.4] * 6])
    kept = np.exp(-1 / np.maximum(LENGTHS, 1e-9))[:, None, None]
    values = rng.normal(size=(4, 400, 6)) * np.sqrt(true)[:, None]
    drives = []
    for _ in range(350):
        drives.append(values.sum(axis=0))
        values = kept * values + rng.normal(size=values.shape) * np.sqrt(true[:, None] * (1 - kept**2))
    model = error_model(list(np.swapaxes(drives, 0, 1)))
    np.testing.assert_allclose(model.variances, true, atol=0.1)


def test_few_motions_on_which_everything_fails_do_not_blur_all_others():
    errors = np.random.default_rng(0).normal(size=(20, 400, 6))
    errors[3, 100] = 1e3
    assert np.all(error_model(list(errors)).total < 1.3)


def test_who_takes_the_camera_for_another_tells_other_motions():
    motions = np.array([[0.0, 0.0, 2.0, 0.0, 0.1, 0.0]])
    np.testing.assert_allclose(mistaken(motions, 1.5, 0), motions * [1.5, 1.5, 1.5, 1, 1, 1])
    (told,) = mistaken(motions, 1.0, 1)
    assert np.linalg.norm(told[:3]) == pytest.approx(2 * (1 + np.hypot(HEIGHT_ERROR, FOCAL_ERROR)))
    assert np.linalg.norm(told[3:]) == pytest.approx(0.1 * (1 - FOCAL_ERROR))
    assert np.degrees(np.arctan2(told[:2], told[2])) == pytest.approx([0.3, -0.3], abs=0.01)


@pytest.fixture
def said(monkeypatch):
    """Put true motions, and what a student says of them, in place of drives."""
    def put(truth, motions, seconds=0.1):
        monkeypatch.setattr(calibrate, "forward_drives", lambda cache, off: [Seen(None, truth, seconds)])
        monkeypatch.setattr(calibrate, "refined_by", lambda *_: (motions, np.full(motions.shape, 0.01)))
    return put


def test_a_student_that_says_four_fifths_of_the_way_is_scaled_by_five_fourths(cache, said, monkeypatch):
    truth = np.random.default_rng(0).normal([0.0, 0.0, 1.2, 0.0, 0.0, 0.0], 0.1, (100, 6))
    said(truth, truth * np.array([0.8, 0.8, 0.8, 0.9, 0.9, 0.9]))
    monkeypatch.setattr(calibrate, "in_line", lambda motions, sigmas, inertia, seconds: (motions, sigmas))
    student = Student(PoseRegressor(SETTINGS), StudentSettings(SETTINGS), "short")
    assert calibrate.calibrated(student, [cache]).way_scale == pytest.approx(1.25)


@pytest.mark.parametrize("seconds", [0.1, 0.18])
def test_by_how_much_ways_fall_short_while_the_car_speeds_up_is_found(cache, said, seconds):
    rng = np.random.default_rng(0)
    speed = 12 + 4 * np.sin(np.arange(400) * seconds / 1.5)  # m/s, up to 2.7 m/s^2
    truth = rng.normal(0, 0.01, (400, 6))
    truth[:, 2] = seconds * speed
    squats = 1 - 0.03 * np.gradient(speed) / seconds
    said(truth, truth * 0.9 * (squats * (1 + 0.03 * rng.normal(size=400)))[:, None], seconds)
    student = Student(PoseRegressor(SETTINGS), StudentSettings(SETTINGS), "squats")
    settings = calibrate.calibrated(student, [cache])
    assert settings.squat == pytest.approx(0.03, abs=0.004)
    assert settings.way_scale == pytest.approx(1 / 0.9, rel=0.01)


def test_errors_that_grow_with_the_turn_have_a_sigma_that_does(cache, said):
    rng = np.random.default_rng(0)
    truth = np.zeros((4000, 6))
    truth[:, 2], truth[:, 4] = 1.0, np.repeat([0.0, 0.02, 0.05, 0.1], 1000)
    sigma = np.full(truth.shape, 0.01)
    sigma[:, 0] *= np.sqrt(1 + 2000 * truth[:, 4]**2)
    said(truth, truth + sigma * rng.normal(size=truth.shape))
    student = Student(PoseRegressor(SETTINGS), StudentSettings(SETTINGS), "turns")
    aside, *others = calibrate.calibrated(student, [cache]).turning
    assert aside == pytest.approx(2000, rel=0.15) and max(others) < 100


def test_views_that_are_not_quite_level_are_part_of_the_errors(cache, monkeypatch):
    """They look down too far and not far enough, which is an error of the whole drive."""
    def said(_, off_level):
        truth = np.random.default_rng(0).normal([0, 0, 1.2, 0, 0, 0], 0.1, (400, 6))
        motions = truth + 0.01 * np.random.default_rng(1).normal(size=truth.shape)
        motions[:, 3] += 0.02 * np.sign(off_level)
        return motions, np.full(truth.shape, 0.01), truth

    monkeypatch.setattr(calibrate, "forward_drives",
                        lambda cache, off: [Seen(off[0], said(cache, off[0])[2], 0.1)])
    monkeypatch.setattr(calibrate, "refined_by", lambda student, off: said(None, off)[:2])
    student = Student(PoseRegressor(SETTINGS), StudentSettings(SETTINGS), "off level")
    lasting = np.array(calibrate.calibrated(student, [cache]).errors.variances)[-1]
    assert lasting[3] == pytest.approx(4.0, rel=0.2) and lasting[5] < 1.0


def test_drives_at_half_the_rate_are_not_taken_for_others(cache):
    cache = replace(cache, tracks=tuple(replace(track, stride=2) for track in cache.tracks))
    student = Student(PoseRegressor(SETTINGS), StudentSettings(SETTINGS), "none")
    with pytest.raises(InputError, match="--strides 1"):
        calibrate.calibrated(student, [cache])
