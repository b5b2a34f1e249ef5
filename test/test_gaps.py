"""How the odometry goes on where images come late, twice or not at all, or no motion is known of them."""

import numpy as np
import pytest
from knowing import EXACT, PERIOD_NS, SCENE, USUAL, KnowingStudent, ahead, drive, image

from distill_vo import geometry
from distill_vo.camera import CANONICAL, Camera
from distill_vo.odometry import Status, VisualOdometry


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
    assert second.after_gap and not third.after_gap
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


def test_minutes_in_the_dark_make_a_fast_robot_ever_less_certain():
    odometry = VisualOdometry(KnowingStudent(ahead(np.full(12, 30.0)), sigma=USUAL), CANONICAL)
    seen = [odometry.track(i * PERIOD_NS, image(i)) for i in range(12)]
    sizes = []
    for s in range(2, 242):
        last = odometry.track(s * 10**9, np.zeros_like(image(0)))
        sizes.append(np.sqrt(last.pose_covariance[2, 2]))
        assert 30 * s - last.pose[2, 3] <= 2 * sizes[-1], s
    assert np.all(np.diff(sizes) > 0) and last.pose[2, 3] - seen[-1].pose[2, 3] == pytest.approx(30, abs=0.1)


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
