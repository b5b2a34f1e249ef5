"""The odometry chains what the student says, with a student that knows the truth."""

import numpy as np
import pytest
from knowing import EXACT, PERIOD_NS, SCENE, KnowingStudent, image

from distill_vo import geometry
from distill_vo.camera import CANONICAL, Camera
from distill_vo.errors import InputError
from distill_vo.odometry import Status, VisualOdometry
from distill_vo.student import Student
from training.data.rehearsal import RehearsalSettings, render_sequence

SIGMA = np.array([0.01, 0.01, 0.003, 0.001, 0.002, 0.001])  # ahead so small that inertia has no say
USUAL = np.array([0.01, 0.01, 0.05, 0.001, 0.002, 0.001])
MOUNTINGS = {
    "forward": geometry.from_position_quaternion(
        [1.5, 0, 1.2], geometry.quaternion_from_matrix(geometry.OPTICAL_AXES)),
    "left, down, rolled": geometry.exp(np.array([0.3, 0.2, 0.5, 1.0, -0.7, 1.6])),
}
FAR = {"at the front of a van": geometry.from_position_quaternion(
    [3, 0, 1.8], geometry.quaternion_from_matrix(geometry.OPTICAL_AXES))}


def drive(frames: int = 100) -> np.ndarray:
    """(N, 4, 4) camera poses of a winding, climbing drive."""
    steps = np.random.default_rng(0).normal([0, 0, 1, 0, 0.05, 0], [0.02, 0.02, 0.02, 0.01, 0.03, 0.01],
                                            size=(frames - 1, 6))
    poses = [np.eye(4)]
    for step in geometry.from_motion(steps):
        poses.append(poses[-1] @ step)
    return np.array(poses)


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


def test_images_that_come_twice_or_late_are_dropped():
    truth = drive(20)
    odometry = VisualOdometry(KnowingStudent(truth), CANONICAL)
    for i in range(10):
        odometry.track(i * PERIOD_NS, image(i))
    assert odometry.track(9 * PERIOD_NS, image(9)) is None
    assert odometry.track(7 * PERIOD_NS, image(7)) is None
    np.testing.assert_allclose(odometry.track(10 * PERIOD_NS, image(10)).pose, truth[10], atol=1e-9)


def test_a_bag_that_loops_starts_anew():
    truth = drive(20)
    odometry = VisualOdometry(KnowingStudent(truth), CANONICAL)
    first = [odometry.track(i * PERIOD_NS, image(i)) for i in range(20)]
    doubted, *again = [odometry.track(i * PERIOD_NS, image(i)) for i in range(20)]
    assert doubted is None
    np.testing.assert_array_equal([e.pose for e in again], [e.pose for e in first[1:]])


@pytest.mark.parametrize("wrong_s", [0.0, 3600.0, -3600.0])
def test_one_wrong_stamp_costs_one_image(wrong_s):
    truth = drive(20)
    odometry = VisualOdometry(KnowingStudent(truth), CANONICAL)
    for i in range(20):
        stamp_ns = 10**13 + i * PERIOD_NS
        if i == 10:
            stamp_ns = stamp_ns + int(wrong_s * 1e9) if wrong_s else 0
        last = odometry.track(stamp_ns, image(i))
        assert (last is None) == (i == 10)
    np.testing.assert_allclose(last.pose, truth[-1], atol=1e-9)
    assert last.status is Status.TRACKING


def test_after_an_hour_it_goes_on_where_it_was():
    odometry = VisualOdometry(KnowingStudent(drive(20)), CANONICAL)
    for i in range(10):
        before = odometry.track(i * PERIOD_NS, image(i))
    hour_ns = 3600 * 10**9
    first, second, third = (odometry.track(i * PERIOD_NS + hour_ns, image(i)) for i in (10, 11, 12))
    assert first is None and second.status is third.status is Status.TRACKING
    assert np.linalg.norm(second.pose[:3, 3] - before.pose[:3, 3]) < 15
    assert 100 < np.sqrt(np.linalg.eigvalsh(second.pose_covariance)[-1]) < 10_000


def test_a_gap_is_lost_coasts_along_the_arc_and_is_less_certain_than_what_was_seen():
    # A camera that turns steadily: 5 m/s and 0.5 rad/s.
    arc = geometry.exp(np.arange(40)[:, None] * 0.1 * np.array([0, 0, 5, 0, 0.5, 0]))
    odometry = VisualOdometry(KnowingStudent(arc), CANONICAL)
    for i in range(5):
        before = odometry.track(i * PERIOD_NS, image(i))
    after = odometry.track(before.stamp_ns + 2_000_000_000, image(24))
    assert after.status is Status.LOST
    np.testing.assert_allclose(after.pose, arc[4 + 10], atol=1e-9)  # for a second, then it waits
    assert np.all(np.linalg.eigvalsh(after.pose_covariance - before.pose_covariance) > 0)
    recovered = odometry.track(after.stamp_ns + PERIOD_NS, image(25))
    assert recovered.status is Status.TRACKING
    np.testing.assert_allclose(geometry.inverse(after.pose) @ recovered.pose,
                               geometry.inverse(arc[24]) @ arc[25], atol=1e-9)


@pytest.mark.parametrize("flow_px", [2.0, 10.0])
def test_twist_covariance_is_the_spread_of_twists_with_and_without_a_held_keyframe(flow_px):
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


def test_the_less_is_seen_the_less_certain_a_motion_is():
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


def seen_and_unseen(max_gap_s: float = 1.0) -> list:
    """Ten images of a steady drive at 10 Hz and 10 m/s, then darkness."""
    straight = geometry.exp(np.arange(60)[:, None] * np.array([0, 0, 1.0, 0, 0, 0]))
    odometry = VisualOdometry(KnowingStudent(straight), CANONICAL, max_gap_s=max_gap_s)
    estimates = [odometry.track(i * PERIOD_NS, image(i)) for i in range(10)]
    dark = np.random.default_rng(0).integers(0, 6, SCENE.shape).astype(np.uint8)
    return estimates + [odometry.track(i * PERIOD_NS, dark) for i in range(10, 40)]


@pytest.mark.parametrize("max_gap_s", [0.5, 1.0, 2.0])
def test_darkness_is_bridged_at_the_last_twist_up_to_max_gap_ever_less_certain(max_gap_s):
    *_, last = seen, *dark = seen_and_unseen(max_gap_s)[9:]
    bridged = round(max_gap_s * 10)
    assert [e.status for e in dark] == [Status.DEGRADED] * bridged + [Status.LOST] * (30 - bridged)
    driven = np.minimum(np.arange(1, 31), bridged)
    np.testing.assert_allclose([e.pose[2, 3] for e in dark], 9 + driven, atol=1e-6)
    for name in ("pose_covariance", "twist_covariance"):
        sizes = [np.linalg.eigvalsh(getattr(e, name)).max() for e in (seen, *dark)]
        assert np.all(np.diff(sizes) > 0)
    assert np.isfinite(last.pose_covariance).all() and np.abs(last.pose_covariance).max() < 1e5


def test_a_moving_camera_that_repeats_its_image_is_not_believed_and_a_standing_one_is():
    straight = geometry.exp(np.arange(60)[:, None] * np.array([0, 0, 1.0, 0, 0, 0]))
    moving, standing = (VisualOdometry(KnowingStudent(poses), CANONICAL)
                        for poses in (straight, np.tile(np.eye(4), (60, 1, 1))))
    for i in range(5):
        moving.track(i * PERIOD_NS, image(i))
        standing.track(i * PERIOD_NS, image(i))
    assert standing.track(5 * PERIOD_NS, image(4)).status is Status.TRACKING
    repeated = moving.track(5 * PERIOD_NS, image(4))
    assert repeated.status is Status.DEGRADED and repeated.pose[2, 3] == pytest.approx(5)
    again = moving.track(6 * PERIOD_NS, image(6))
    assert again.status is Status.TRACKING and again.pose[2, 3] == pytest.approx(6)


@pytest.mark.parametrize("sigma", [EXACT, USUAL], ids=["exact", "usual"])
def test_a_motion_that_no_robot_makes_is_not_believed(sigma):
    poses = geometry.exp(np.arange(20)[:, None] * np.array([0, 0, 1.0, 0, 0, 0]))
    poses[10, 2, 3] -= 20  # backwards at 200 m/s
    odometry = VisualOdometry(KnowingStudent(poses, sigma=sigma), CANONICAL)
    estimates = [odometry.track(i * PERIOD_NS, image(i)) for i in range(20)]
    assert estimates[10].status is Status.DEGRADED and estimates[10].pose[2, 3] == pytest.approx(10, abs=1e-3)
    assert estimates[-1].status is Status.TRACKING


class Doubter(KnowingStudent):
    """The farther it says the camera went, the less certain it is."""

    def __call__(self, x):
        motion, sigma = super().__call__(x)
        return motion, np.hypot(sigma, 0.2 * np.abs(motion))


@pytest.mark.parametrize(("Kind", "metres"), [(KnowingStudent, 20.0), (Doubter, -4.0)])
def test_a_robot_that_stood_for_long_does_not_leap(Kind, metres):
    poses = np.tile(np.eye(4), (250, 1, 1))
    poses[200, 2, 3] = metres  # a lorry crosses in front of the camera
    odometry = VisualOdometry(Kind(poses, flow_px=2.0, sigma=USUAL), CANONICAL)
    estimates = [odometry.track(i * PERIOD_NS, image(i)) for i in range(250)]
    assert estimates[200].status is Status.DEGRADED
    assert max(np.abs(e.twist).max() for e in estimates) < 1e-3
    assert estimates[-1].status is Status.TRACKING


def test_the_rotation_of_a_mounting_written_with_few_digits_stays_one():
    mounting = MOUNTINGS["left, down, rolled"].round(3)
    odometry = VisualOdometry(KnowingStudent(drive(200)), CANONICAL, mounting)
    for i in range(200):
        R = odometry.track(i * PERIOD_NS, image(i)).pose[:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)


def ahead(speeds: np.ndarray) -> np.ndarray:
    """(N + 1, 4, 4) camera poses of a straight drive at these speeds (N,), m/s, at 10 Hz."""
    way = np.concatenate([[0], np.cumsum(speeds)]) * PERIOD_NS * 1e-9
    return geometry.exp(way[:, None] * np.array([0, 0, 1.0, 0, 0, 0]))


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


@pytest.mark.parametrize("max_gap_s, speed", [(1.0, 30.0), (0.2, 20.0), (0.2, 10.0)])
def test_a_robot_that_went_on_while_nothing_was_seen_is_within_two_sigma(max_gap_s, speed):
    truth = ahead(np.full(40, speed))
    odometry = VisualOdometry(KnowingStudent(truth, sigma=USUAL), CANONICAL, max_gap_s=max_gap_s)
    dark = np.zeros_like(image(0))
    for i in range(40):
        last = odometry.track(i * PERIOD_NS, image(i) if i < 15 else dark)
        off = abs(last.pose[2, 3] - truth[i, 2, 3])
        assert off <= 2 * np.sqrt(last.pose_covariance[2, 2]), i
    assert last.status is Status.LOST and off > 5


@pytest.mark.parametrize("height", [1.0, 0.2], ids=["car", "small robot"])
@pytest.mark.parametrize("step_m, status", [(0.5, Status.TRACKING), (1.5, Status.DEGRADED)])
def test_what_lies_too_far_back_is_not_measured_from(step_m, status, height):
    """After 0.7 s without an image: 3.5 m are seen, of 10.5 m nothing is found again but by chance. Of a
    camera at a fifth of the height it is so of a fifth of the way."""
    poses = ahead(np.full(40, 10 * step_m))
    camera = Camera(**{**vars(CANONICAL), "mount_height_m": height * CANONICAL.mount_height_m})
    odometry = VisualOdometry(KnowingStudent(poses, flow_px=3.0), camera)
    for k in range(30):
        odometry.track(k * PERIOD_NS, image(k))
    assert odometry.track(36 * PERIOD_NS, image(36)).status is status
    assert odometry.track(37 * PERIOD_NS, image(37)).status is Status.TRACKING


def test_in_a_gap_the_speed_may_have_changed():
    odometry = VisualOdometry(KnowingStudent(ahead(np.r_[np.full(10, 10.0), np.full(30, 6.0)]), sigma=USUAL),
                              CANONICAL)
    for i in [*range(11), 31, 32, 33]:
        last = odometry.track(i * PERIOD_NS, image(i))
    assert last.status is Status.TRACKING and last.twist[2] == pytest.approx(6, abs=0.3)
