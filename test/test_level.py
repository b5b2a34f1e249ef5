"""The view is turned until the way lies in it as the student learned it, and no motion changes by that."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from test_odometry import PERIOD_NS, KnowingStudent, image

from distill_vo import geometry
from distill_vo.camera import CANONICAL, CanonicalView
from distill_vo.level import LARGEST_RAD, Level
from distill_vo.odometry import Estimate, Status, VisualOdometry

LOOKS_DOWN = np.radians(1.1)


def way(looks_down: float) -> np.ndarray:
    """A metre of the way of a car, in the axes of a camera that looks down so far (rad)."""
    return np.array([0.0, -np.sin(looks_down), np.cos(looks_down)])


@pytest.mark.parametrize("degrees", [0.0, 1.1, 2.5])
def test_after_some_hundred_metres_the_view_looks_down_as_the_students_did(degrees):
    level = Level(LOOKS_DOWN)
    for _ in range(300):
        level.drove(way(np.radians(degrees) + level.pitch))
    assert np.radians(degrees) + level.pitch == pytest.approx(LOOKS_DOWN, abs=np.radians(0.05))


def test_a_camera_that_does_not_look_ahead_is_let_be():
    level = Level(LOOKS_DOWN)
    for _ in range(100):
        level.drove(np.array([1.0, -0.1, 0.5]))
        level.drove(-way(0.5))
    assert level.pitch == 0.0


def test_the_view_is_not_turned_away():
    level = Level(LOOKS_DOWN)
    for _ in range(300):
        level.drove(way(-0.2))
    assert level.pitch == LARGEST_RAD


def test_a_view_turned_down_is_what_a_camera_turned_down_sees():
    scene = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (192, 640), np.uint8), (0, 0), 4)
    R = geometry.rotation_exp(np.array([0.02, 0.0, 0.0]))
    expected = cv2.warpPerspective(scene, CANONICAL.K @ R @ np.linalg.inv(CANONICAL.K), (640, 192))
    difference = CanonicalView(CANONICAL, pitch_rad=0.02)(scene).astype(int) - expected
    assert np.abs(difference[12:-12, 12:-12]).max() <= 3


class Learner(KnowingStudent):
    """Tells the motion in the axes of the view, as a network does."""

    def __init__(self, camera_poses):
        super().__init__(camera_poses)
        self.front_end.looks_down = LOOKS_DOWN

    def __call__(self, x):
        motion, sigma = super().__call__(x)
        R = geometry.rotation_exp(np.array([self.odometry._pitch_rad, 0.0, 0.0]))
        return (R @ motion.reshape(2, 3, 1)).ravel(), sigma


def learning(frames: int, yaw: float) -> tuple[VisualOdometry, np.ndarray]:
    """An odometry, and the camera's poses (frames, 4, 4) of a drive that its view is not level for."""
    step = geometry.from_motion(np.r_[way(np.radians(2.1)), 0.0, yaw, 0.0])
    truth = np.array([np.linalg.matrix_power(step, i) for i in range(frames)])
    student = Learner(truth)
    student.odometry = VisualOdometry(student, CANONICAL)
    return student.odometry, truth


def driven(odometry: VisualOdometry, truth: np.ndarray) -> Iterator[Estimate]:
    for i in range(len(truth)):
        view = image(i)
        view[:40, :40] = i  # large enough to be read when the view is turned
        yield odometry.track(i * PERIOD_NS, view)


def test_the_path_is_the_cameras_however_its_view_is_turned():
    odometry, truth = learning(120, yaw=0.002)
    *_, last = driven(odometry, truth)
    assert odometry._pitch_rad == pytest.approx(-np.radians(1.0), abs=np.radians(0.12))
    np.testing.assert_allclose(last.pose, truth[-1], atol=1e-9)


def test_until_the_view_is_level_the_way_is_known_to_a_tenth_only():
    first, *_, last = list(driven(*learning(60, yaw=0.0)))[1:]
    shares = [np.sqrt(np.linalg.eigvalsh(e.twist_covariance[:3, :3])[-1]) / np.linalg.norm(e.twist[:3])
              for e in (first, last)]
    assert shares[0] == pytest.approx(0.1, rel=0.01) and shares[1] < 0.01


def test_motions_of_which_little_was_seen_do_not_level_the_view():
    odometry, truth = learning(30, yaw=0.0)
    for i in range(len(truth)):
        view = image(i)
        view[:, CANONICAL.width // 4:] = 128  # nothing to be seen in three quarters
        estimate = odometry.track(i * PERIOD_NS, view)
    assert estimate.status is Status.DEGRADED and odometry._pitch_rad == 0.0
