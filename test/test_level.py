"""The view is turned until the way lies in it as the student learned it, and no motion changes by that."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from knowing import PERIOD_NS, KnowingStudent, image

from distill_vo import geometry
from distill_vo.camera import CANONICAL, looking
from distill_vo.frame import CanonicalView, halved
from distill_vo.level import LARGEST_RAD, Level, ahead, straight_way
from distill_vo.odometry import Estimate, Status, VisualOdometry

LOOKS_DOWN = np.radians(1.1)
FORWARD = np.eye(4)  # base_T_camera
FORWARD[:3, :3] = geometry.OPTICAL_AXES


def way(looks_down: float, left: float = 0.0, turn: float = 0.0) -> np.ndarray:
    """A metre of the way of a car that turns (rad), in the axes of a camera at its rear axle, which looks so
    far down and to the left (rad)."""
    aside = left + turn / 2
    return np.array([np.sin(aside), -np.sin(looks_down), np.cos(aside) * np.cos(looks_down), 0.0, turn, 0.0])


@pytest.mark.parametrize("told, turned", [(-2.0, 0.0), (0.0, 0.0), (0.6, 0.6), (12.0, 1.1)])
def test_a_view_looks_down_at_first_as_its_camera_but_no_more_than_the_students_did(told, turned):
    mounted = np.radians([-told, 0.0, 0.0])
    level = Level(LOOKS_DOWN, geometry.OPTICAL_AXES @ geometry.rotation_exp(mounted))
    assert np.degrees(level.turn) == pytest.approx([turned, 0.0])


@pytest.mark.parametrize("degrees", [0.0, 1.1, 2.5])
def test_after_some_hundred_metres_the_view_looks_down_as_the_students_did(degrees):
    level = Level(LOOKS_DOWN, geometry.OPTICAL_AXES)
    for _ in range(300):
        level.drove(way(np.radians(degrees) + level.turn[0]))
    assert np.radians(degrees) + level.turn[0] == pytest.approx(LOOKS_DOWN, abs=np.radians(0.05))


@pytest.mark.parametrize("degrees", [-1.0, 0.0, 0.5])
def test_after_a_kilometre_of_straight_road_the_view_looks_along_it(degrees):
    level = Level(LOOKS_DOWN, geometry.OPTICAL_AXES)
    for _ in range(1000):
        level.drove(way(LOOKS_DOWN, np.radians(degrees) - level.turn[1]))
    assert level.turn[1] == pytest.approx(np.radians(degrees), abs=np.radians(0.05))


def test_a_bend_does_not_turn_the_view():
    level, back = (Level(LOOKS_DOWN, geometry.OPTICAL_AXES) for _ in range(2))
    for _ in range(1000):
        level.drove(way(LOOKS_DOWN, turn=0.1))
        back.drove(-way(LOOKS_DOWN, left=0.1))
    assert level.turn[1] == back.turn[1] == 0.0


@pytest.mark.parametrize("radius_m", [np.inf, 250.0, -500.0])
def test_a_camera_before_the_rear_axle_does_not_drift_in_a_bend(radius_m):
    axle_T_camera = geometry.exp(np.array([0, 0, 1.3, 0, 0, 0]))
    arc = geometry.exp(np.array([0, 0, 1.2, 0, 1.2 / radius_m, 0]))
    motion = geometry.to_motion(geometry.inverse(axle_T_camera) @ arc @ axle_T_camera)
    np.testing.assert_allclose(straight_way(motion), [0, 1.2], atol=1e-4)


def test_a_low_camera_levels_its_view_as_a_high_one():
    turns = []
    for height in (1.0, 0.2):
        odometry, truth = learning(60, yaw=0.002)
        odometry.calibrate(replace(CANONICAL, mount_height_m=height * CANONICAL.mount_height_m))
        *_, _last = driven(odometry, truth)
        turns.append(odometry.turn)
    assert turns[0].all()
    np.testing.assert_allclose(*turns, atol=1e-12)


def test_a_camera_that_does_not_look_ahead_is_let_be():
    level = Level(LOOKS_DOWN, geometry.OPTICAL_AXES)
    for _ in range(100):
        level.drove(np.array([1.0, -0.1, 0.5, 0, 0, 0]))
        level.drove(-way(0.5))
    assert not level.turn.any()


def test_the_view_is_not_turned_away():
    level = Level(LOOKS_DOWN, geometry.OPTICAL_AXES)
    for _ in range(300):
        level.drove(way(-0.2, left=0.2))
    assert (level.turn == LARGEST_RAD).all()


@pytest.mark.parametrize(("turn", "rotation"), [((0.02, 0.0), (0.02, 0.0, 0.0)),
                                                ((0.0, 0.02), (0.0, -0.02, 0.0))], ids=["down", "right"])
def test_a_turned_view_is_what_a_turned_camera_sees(turn, rotation):
    scene = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (192, 640), np.uint8), (0, 0), 4)
    R = geometry.rotation_exp(np.array(rotation))
    expected = cv2.warpPerspective(scene, CANONICAL.K @ R @ np.linalg.inv(CANONICAL.K), (640, 192),
                                   borderMode=cv2.BORDER_REPLICATE)
    seen = CanonicalView(CANONICAL, "colour", rotation=looking(np.array(turn)))(scene)
    assert np.abs(seen.whole[..., 0].astype(int) - expected)[12:-12, 12:-12].max() <= 3
    assert np.abs(seen.half.astype(int) - halved(expected))[6:-6, 6:-6].max() <= 3


@pytest.mark.parametrize("rotation", [(0.2, 0.0, 0.0), (0.1, -0.1, 0.3), (0.0, 0.0, np.pi)],
                         ids=["down", "aside and rolled", "upside down"])
def test_the_view_looks_along_the_base_and_stands_upright(rotation):
    R = geometry.rotation_exp(np.array(rotation))
    base_R_camera = geometry.OPTICAL_AXES @ R
    np.testing.assert_allclose(geometry.OPTICAL_AXES @ ahead(base_R_camera), base_R_camera, atol=1e-12)


def test_of_a_camera_that_looks_elsewhere_the_view_is_its_own():
    up = geometry.from_motion(np.zeros(6))  # the optical rotation was forgotten, or base is the camera
    back = np.eye(4)
    back[:3, :3] = geometry.OPTICAL_AXES @ np.diag([-1, 1, -1])
    for base_T_camera in (up, back):
        odometry = VisualOdometry(KnowingStudent(np.eye(4)[None]), CANONICAL, base_T_camera)
        assert not odometry.looks_ahead
        np.testing.assert_array_equal(odometry.view.rotation, np.eye(3))


class Learner(KnowingStudent):
    """Tells the motion in the axes of the view, as a network does."""

    def __init__(self, camera_poses):
        super().__init__(camera_poses)
        self.front_end.looks_down = LOOKS_DOWN

    def __call__(self, x):
        motion, sigma = super().__call__(x)
        return (self.odometry.view.rotation @ motion.reshape(2, 3, 1)).ravel(), sigma


def learning(frames: int, yaw: float, base_T_camera=FORWARD) -> tuple[VisualOdometry, np.ndarray]:
    """An odometry, and the camera's poses (frames, 4, 4) of a drive whose upright view is not level."""
    upright = np.eye(4)
    upright[:3, :3] = ahead(base_T_camera[:3, :3])
    step = geometry.from_motion(way(np.radians(2.1), left=np.radians(1.0), turn=yaw))
    step = geometry.inverse(upright) @ step @ upright
    truth = np.array([np.linalg.matrix_power(step, i) for i in range(frames)])
    student = Learner(truth)
    student.odometry = VisualOdometry(student, CANONICAL, base_T_camera)
    return student.odometry, truth


def driven(odometry: VisualOdometry, truth: np.ndarray) -> Iterator[Estimate]:
    for i in range(len(truth)):
        view = np.full((CANONICAL.height, CANONICAL.width), i, np.uint8)
        view[40:-40, 40:-40] = image(i)[40:-40, 40:-40]  # its frame is read, wherever the view is turned to
        yield odometry.track(i * PERIOD_NS, view)


@pytest.mark.parametrize("rotation", [(0.0, 0.0, 0.0), (-0.1, 0.1, 0.05), (0.0, 0.0, np.pi)],
                         ids=["level", "down and aside", "upside down"])
def test_the_path_is_the_cameras_however_its_view_is_turned(rotation):
    base_T_camera = geometry.from_motion(np.array([0.3, -0.2, 0.1, 0.0, 0.0, 0.0]))
    base_T_camera[:3, :3] = geometry.OPTICAL_AXES @ geometry.rotation_exp(np.array(rotation))
    odometry, truth = learning(120, 0.002, base_T_camera)
    *_, last = driven(odometry, truth)
    assert odometry.turn[0] == pytest.approx(-np.radians(1.0), abs=np.radians(0.12))
    assert odometry.turn[1] > np.radians(0.5)
    np.testing.assert_allclose(last.pose, base_T_camera @ truth[-1] @ geometry.inverse(base_T_camera),
                               atol=1e-9)


def test_until_the_view_is_level_the_way_is_known_to_a_tenth_only():
    first, *_, last = list(driven(*learning(60, yaw=0.0)))[1:]
    shares = [np.sqrt(np.linalg.eigvalsh(e.twist_covariance[:3, :3])[-1]) / np.linalg.norm(e.twist[:3])
              for e in (first, last)]
    assert shares[0] == pytest.approx(0.1, rel=0.01) and shares[1] < 0.01


@pytest.mark.parametrize("is_told", [True, False], ids=["by a reset", "as a bag loops"])
def test_what_starts_anew_at_the_origin_goes_as_at_first_and_at_a_pose_goes_on_level(is_told):
    odometry, truth = learning(60, yaw=0.002)
    first = list(driven(odometry, truth))
    turn = odometry.turn
    odometry.reset(np.eye(4))
    assert turn.any() and odometry.turn is turn
    if is_told:
        odometry.reset()
    else:
        odometry.track(10**11, image(0))
    again = [estimate for estimate in driven(odometry, truth) if estimate]
    first = first if is_told else first[1:]  # a stamp that falls back is doubted first
    for what in ("pose", "pose_covariance", "twist", "twist_covariance"):
        np.testing.assert_array_equal([getattr(e, what) for e in again], [getattr(e, what) for e in first])


def test_motions_of_which_little_was_seen_do_not_level_the_view():
    odometry, truth = learning(30, yaw=0.0)
    for i in range(len(truth)):
        view = image(i)
        view[:, CANONICAL.width // 4:] = 128  # nothing to be seen in three quarters
        estimate = odometry.track(i * PERIOD_NS, view)
    assert estimate.status is Status.DEGRADED and not odometry.turn.any()
