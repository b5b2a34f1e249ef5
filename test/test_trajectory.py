"""Trajectory files give back what was written, and refuse what is none."""

import numpy as np
import pytest

from distill_vo import geometry, trajectory
from distill_vo.errors import InputError
from distill_vo.trajectory import Trajectory


@pytest.fixture
def drive():
    rng = np.random.default_rng(0)
    poses = geometry.exp(rng.normal(size=(50, 6)))
    stamps = 1_700_000_000_123_456_789 + np.arange(50) * 100_000_007
    return Trajectory.from_poses(stamps, poses)


def test_tum_round_trip_is_exact_to_the_last_bit(drive, tmp_path):
    trajectory.write_tum(tmp_path / "a.tum", drive)
    back = trajectory.read(tmp_path / "a.tum")
    np.testing.assert_array_equal(back.stamps_ns, drive.stamps_ns)
    np.testing.assert_array_equal(back.positions, drive.positions)
    np.testing.assert_array_equal(back.quaternions, drive.quaternions)


def test_kitti_round_trip_keeps_poses_and_takes_stamps(drive, tmp_path):
    trajectory.write_kitti(tmp_path / "a.txt", drive)
    back = trajectory.read(tmp_path / "a.txt", drive.stamps_ns)
    np.testing.assert_allclose(back.poses, drive.poses, atol=1e-14)
    np.testing.assert_array_equal(back.stamps_ns, drive.stamps_ns)


def test_frame_index_in_the_first_of_13_columns_selects_the_stamp(tmp_path):
    identity = "1 0 0 0 0 1 0 0 0 0 1 0"
    (tmp_path / "a.txt").write_text(f"0 {identity}\n7 {identity}\n")
    np.testing.assert_array_equal(trajectory.read(tmp_path / "a.txt").stamps_ns, [0, 700_000_000])


def test_path_length_of_a_square_is_four_sides():
    corners = np.array([[0, 0, 0], [5, 0, 0], [5, 5, 0], [0, 5, 0], [0, 0, 0]], float)
    square = Trajectory(np.arange(5), corners, np.tile([0, 0, 0, 1.0], (5, 1)))
    assert square.path_length_m == 20


def test_only_a_tum_file_brings_stamps_of_its_own(drive, tmp_path):
    trajectory.write_tum(tmp_path / "a.tum", drive)
    trajectory.write_kitti(tmp_path / "a.txt", drive)
    for name, stamped in (("a.tum", True), ("a.txt", False)):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "# the end\n")
        assert trajectory.read(tmp_path / name).stamped == stamped
    assert trajectory.read(tmp_path / "a.txt", drive.stamps_ns).stamped


@pytest.mark.parametrize("good, bad", [
    ("0 0 0 0 0 0 0 1", "1 0 0 0 0 0 0 nan"),
    ("0 0 0 0 0 0 0 1", "1 0 0 0 0 0 0 9"),
    ("1 0 0 0 0 1 0 0 0 0 1 0", "1 0 0 0 0 2 0 0 0 0 1 0"),
    ("1 0 0 0 0 1 0 0 0 0 1 0", "1 0 0 0 0 1 0 0 0 0 -1 0"),  # a mirror
])
def test_the_wrong_line_is_named_as_an_editor_counts_it(tmp_path, good, bad):
    (tmp_path / "bad.txt").write_text(f"# a comment\n\n{good}\n{bad}\n{good}\n")
    with pytest.raises(InputError, match="line 4 "):
        trajectory.read(tmp_path / "bad.txt")


@pytest.mark.parametrize("text, says", [
    ("", "no columns"),
    ("1 2 3\n", "3 columns"),
    ("0 0 0 0 0 0 0 one\n", "not a number"),
    ("0 0 0 0 0 0 0 nan\n", "not finite"),
    ("0 0 0 0 0 0 0 9\n", "unit length"),
    ("1e30 0 0 0 0 0 0 1\n", "line 1 holds no stamp"),
    ("-1 1 0 0 0 0 1 0 0 0 0 1 0\n", "line 1 holds no frame number"),
    ("1e30 1 0 0 0 0 1 0 0 0 0 1 0\n", "line 1 holds no frame number"),
    ("1 0 0 0 0 2 0 0 0 0 1 0\n", "rigid"),
    ("0 0 -1e307 0 0 0 0 1\n", "line 1 holds a number beyond 1e\\+12; give positions in metres"),
    ("1 0 0 1.1e12 0 1 0 0 0 0 1 0\n", "line 1 holds a number beyond"),
    ("1e200 1e200 0 0 1e200 -1e200 0 0 0 0 1 0\n", "line 1 holds a number beyond"),
])
def test_what_is_no_trajectory_is_refused_by_name(tmp_path, text, says):
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(InputError, match=rf"bad\.txt.*{says}"):
        trajectory.read(tmp_path / "bad.txt")
