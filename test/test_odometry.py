"""The odometry chains what the student says, with a student that knows the truth."""

from types import SimpleNamespace

import numpy as np
import pytest
from knowing import PERIOD_NS, SIGMA, USUAL, KnowingStudent, ahead, drive, image

from distill_vo import geometry
from distill_vo.camera import CANONICAL, Camera
from distill_vo.errors import InputError
from distill_vo.odometry import Status, VisualOdometry
from distill_vo.student import Student
from training.data.rehearsal import RehearsalSettings, render_sequence

MOUNTINGS = {
    "forward": geometry.from_position_quaternion(
        [1.5, 0, 1.2], geometry.quaternion_from_matrix(geometry.OPTICAL_AXES)),
    "left, down, rolled": geometry.exp(np.array([0.3, 0.2, 0.5, 1.0, -0.7, 1.6])),
}
FAR = {"at the front of a van": geometry.from_position_quaternion(
    [3, 0, 1.8], geometry.quaternion_from_matrix(geometry.OPTICAL_AXES))}


@pytest.fixture
def is_steady(monkeypatch):
    """Of a robot that is known to keep its twist, the uncertainty of a twist is that of the motion seen."""
    steady = SimpleNamespace(variance=np.zeros(6), add=lambda *_: None)
    monkeypatch.setattr("distill_vo.odometry.Lag", lambda _: steady)


@pytest.mark.parametrize("mounting", MOUNTINGS)
def test_base_drives_the_path_of_the_camera_carried_over_by_its_mounting(mounting):
    base_T_camera, camera = MOUNTINGS[mounting], drive()
    odometry = VisualOdometry(KnowingStudent(camera), CANONICAL, base_T_camera)
    estimates = [odometry.track(i * PERIOD_NS, image(i)) for i in range(len(camera))]
    expected = base_T_camera @ camera @ geometry.inverse(base_T_camera)
    np.testing.assert_allclose([e.pose for e in estimates], expected, atol=1e-9)
    velocity = geometry.log(geometry.inverse(expected[:-1]) @ expected[1:]) / 0.1
    np.testing.assert_allclose([e.twist for e in estimates[1:]], velocity, atol=1e-8)


def test_metres_grow_with_the_camera_height():
    truth = drive(10)
    higher = Camera(**{**vars(CANONICAL), "mount_height_m": 2 * CANONICAL.mount_height_m})
    odometry = VisualOdometry(KnowingStudent(truth), higher)
    for i in range(10):
        last = odometry.track(i * PERIOD_NS, image(i))
    np.testing.assert_allclose(last.pose[:3, :3], truth[-1][:3, :3], atol=1e-9)
    np.testing.assert_allclose(last.pose[:3, 3], 2 * truth[-1][:3, 3], atol=1e-9)


@pytest.mark.parametrize("mounting", MOUNTINGS | FAR)
def test_pose_covariance_is_the_spread_of_many_noisy_drives(mounting):
    truth, base_T_camera, rng = drive(12), (MOUNTINGS | FAR)[mounting], np.random.default_rng(1)
    expected = base_T_camera @ truth[-1] @ geometry.inverse(base_T_camera)

    class Noisy(KnowingStudent):
        def __call__(self, x):
            motion, sigma = super().__call__(x)
            return motion + rng.normal(size=6) * sigma, sigma

    sigma = SIGMA * np.r_[1.0, 1.0, 1.0, 5.0, 5.0, 5.0]  # so that the lever from camera to base matters
    odometry = VisualOdometry(Noisy(truth, sigma=sigma), CANONICAL, base_T_camera)
    errors, covariances = [], []
    for _ in range(150):
        odometry.reset()
        for i in range(12):
            last = odometry.track(i * PERIOD_NS, image(i))
        rotation = geometry.rotation_log(last.pose[:3, :3] @ expected[:3, :3].T)
        errors.append(np.r_[last.pose[:3, 3] - expected[:3, 3], rotation])
        covariances.append(last.pose_covariance)
    # Normalised squared error: its mean over draws is the number of dimensions.
    nees = np.einsum("ni,nij,nj->n", errors, np.linalg.inv(covariances), errors)
    assert nees.mean() == pytest.approx(6, abs=0.85)


def test_covariances_are_symmetric_and_positive_definite_and_the_pose_only_gets_less_certain():
    truth = drive()
    odometry = VisualOdometry(KnowingStudent(truth, sigma=SIGMA), CANONICAL, MOUNTINGS["forward"])
    sizes = []
    for i in range(len(truth)):
        e = odometry.track(i * PERIOD_NS, image(i))
        for covariance in (e.pose_covariance, e.twist_covariance):
            np.testing.assert_allclose(covariance, covariance.T, rtol=1e-9, atol=1e-15)
            assert np.linalg.eigvalsh(covariance).min() > 0
        sizes.append(np.linalg.slogdet(e.pose_covariance)[1])
    assert np.all(np.diff(sizes) > 0)


def test_a_robot_that_stands_for_ten_minutes_stays_within_a_centimetre():
    street = next(iter(render_sequence(RehearsalSettings(seed=30_001, frames=2), 0))).image.astype(np.float32)
    odometry, rng = VisualOdometry(Student.load(device="cpu"), CANONICAL), np.random.default_rng(0)
    noise = rng.normal(0, 4, (7, *street.shape))
    odometry.max_gap_s = 10.0
    for i in range(0, 601, 5):  # seconds; the sensor has noise and the light flickers
        seen = street * (1 + 0.03 * np.sin(i)) + np.roll(noise[i % 7], i, axis=1)
        last = odometry.track(i * 10**9, np.clip(seen, 0, 255).astype(np.uint8))
        assert np.linalg.norm(last.pose[:3, 3]) < 0.01 and np.linalg.norm(last.twist[:3]) < 0.01
    assert last.status is Status.TRACKING and np.sqrt(last.pose_covariance.diagonal()).max() < 0.05


@pytest.mark.parametrize("flow_px", [2.0, 10.0])
def test_twist_covariance_is_the_spread_of_twists_with_and_without_a_held_keyframe(flow_px, is_steady):
    truth, rng = drive(4), np.random.default_rng(2)

    class Noisy(KnowingStudent):
        def __call__(self, x):
            motion, sigma = super().__call__(x)
            return motion + rng.normal(size=6) * sigma, sigma

    odometry = VisualOdometry(Noisy(truth, flow_px, SIGMA), CANONICAL)
    twist, nees = geometry.log(geometry.inverse(truth[2]) @ truth[3]) / 0.1, []
    for _ in range(150):
        odometry.reset()
        for i in range(4):
            last = odometry.track(i * PERIOD_NS, image(i))
        error = last.twist - twist
        nees.append(error @ np.linalg.inv(last.twist_covariance) @ error)
    assert np.mean(nees) == pytest.approx(6, abs=0.85)


def test_reset_continues_from_the_given_pose():
    pose = geometry.exp(np.array([5, 6, 0, 0, 0, 1.0]))
    odometry = VisualOdometry(KnowingStudent(drive(3)), CANONICAL)
    odometry.track(0, image(0))
    odometry.reset(pose)
    np.testing.assert_array_equal(odometry.track(PERIOD_NS, image(1)).pose, pose)


def test_reset_carries_a_covariance_on():
    pose, covariance = geometry.exp(np.array([5, 6, 0, 0.3, 0, 1.0])), np.diag([4, 1, 9, 0.1, 0.2, 0.3])
    odometry = VisualOdometry(KnowingStudent(drive(3)), CANONICAL)
    odometry.reset(pose, covariance)
    np.testing.assert_allclose(odometry.track(0, image(0)).pose_covariance, covariance, atol=1e-12)


def test_the_less_is_seen_the_less_certain_a_motion_is(is_steady):
    def seen(view: np.ndarray, columns: int) -> np.ndarray:
        view[:, columns:] = 128  # nothing to be seen there
        return view

    odometries = [VisualOdometry(KnowingStudent(drive(3), sigma=SIGMA), CANONICAL) for _ in range(2)]
    views = CANONICAL.width, CANONICAL.width * 5 // 20  # five of twenty blocks in a row
    firsts, seconds = ([odometry.track(i * PERIOD_NS, seen(image(i), columns))
                        for odometry, columns in zip(odometries, views, strict=True)] for i in range(2))
    assert [e.status for e in firsts] == [e.status for e in seconds] == [Status.TRACKING, Status.DEGRADED]
    whole, quarter = (np.sqrt(e.twist_covariance[0, 0]) for e in seconds)
    assert quarter / whole == pytest.approx(0.35 / 0.25, rel=0.02)


def test_an_image_that_does_not_fit_the_calibration_is_refused():
    odometry = VisualOdometry(KnowingStudent(drive(3)), CANONICAL)
    with pytest.raises(InputError, match="64x48"):
        odometry.track(0, np.zeros((48, 64), np.uint8))


def test_the_rotation_of_a_mounting_written_with_few_digits_stays_one():
    mounting = MOUNTINGS["left, down, rolled"].round(3)
    odometry = VisualOdometry(KnowingStudent(drive(200)), CANONICAL, mounting)
    for i in range(200):
        R = odometry.track(i * PERIOD_NS, image(i)).pose[:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)


def test_inertia_is_that_of_real_metres():
    # A small robot, its camera at a fifth of the height, brakes at 1.5 m/s^2: that is 7.5 in the student's.
    speeds = np.r_[np.ones(20), np.maximum(1 - 0.15 * np.arange(1, 6), 0.1)]
    low = Camera(**{**vars(CANONICAL), "mount_height_m": CANONICAL.mount_height_m / 5})
    odometry = VisualOdometry(KnowingStudent(ahead(5 * speeds), sigma=USUAL), low)
    estimates = [odometry.track(i * PERIOD_NS, image(i)) for i in range(len(speeds) + 1)]
    np.testing.assert_allclose([e.twist[2] for e in estimates[1:]], speeds, atol=0.07)


def test_after_a_reset_the_speed_before_says_nothing():
    odometry = VisualOdometry(KnowingStudent(ahead(np.r_[np.full(10, 10.0), np.full(10, 3.0)]), sigma=USUAL),
                              CANONICAL)
    for i in range(11):
        odometry.track(i * PERIOD_NS, image(i))
    odometry.reset()
    first, second = (odometry.track(i * PERIOD_NS, image(i)) for i in (11, 12))
    assert second.pose[2, 3] - first.pose[2, 3] == pytest.approx(0.3, abs=0.01)
