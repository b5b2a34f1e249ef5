"""Poses between poses, and frames that are missing between frames."""

import numpy as np
import pytest

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.trajectory import Trajectory
from training.data.poses import LARGEST_GAP_NS, ascending, interpolate, number

MS = 10**6
TWIST = np.array([1.0, -2.0, 8.0, 0.1, 0.7, -0.2])  # m/s, rad/s in the body


def constant_velocity(stamps_ns) -> np.ndarray:
    return geometry.exp(np.asarray(stamps_ns)[:, None] / 1e9 * TWIST)


def test_interpolated_poses_are_exact_for_constant_velocity():
    stamps = np.arange(0, 2000 * MS, 50 * MS)
    wanted = np.sort(np.random.default_rng(0).integers(0, stamps[-1], 100))
    found = interpolate(Trajectory.from_poses(stamps, constant_velocity(stamps)), wanted)
    np.testing.assert_allclose(found, constant_velocity(wanted), atol=1e-9)


def test_at_a_poses_own_stamp_it_is_that_pose_to_the_last_bit():
    stamps = np.array([0, 100, 150, 5000]) * MS
    poses = Trajectory.from_poses(stamps, constant_velocity(stamps))
    np.testing.assert_array_equal(interpolate(poses, stamps), poses.poses)


def test_no_pose_before_the_first_after_the_last_or_inside_a_gap():
    stamps = np.array([0, 100, 100 + LARGEST_GAP_NS // MS + 1, 400]) * MS
    poses = Trajectory.from_poses(stamps, constant_velocity(stamps))
    found = interpolate(poses, np.array([-1, 50, 200, 350, 401]) * MS)
    assert np.isfinite(found[:, 0, 0]).tolist() == [False, True, False, True, False]


def test_one_pose_is_no_motion():
    assert np.isnan(interpolate(Trajectory.from_poses([0], np.eye(4)), np.array([0, 1]))).all()


def test_poses_said_twice_count_once_and_time_must_not_go_backwards():
    stamps = np.array([0, 10, 10, 20]) * MS
    assert len(ascending(Trajectory.from_poses(stamps, constant_velocity(stamps)), "bag")) == 3
    backwards = Trajectory.from_poses(stamps[::-1], constant_velocity(stamps))
    with pytest.raises(InputError, match=r"drive.mcap: time goes backwards by 0.010 s after 0.020 s"):
        ascending(backwards, "drive.mcap")


def test_a_missing_frame_leaves_its_number_free():
    jitter = np.array([0, 103, 199, 402, 498, 498]) * MS
    assert number(jitter).tolist() == [0, 1, 2, 4, 5, 5]
    assert number(jitter[:1]).tolist() == [0]
