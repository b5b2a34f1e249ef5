"""What a run leaves behind."""

import json

import cv2
import numpy as np
import pytest

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.evaluation.report import summary, table, write_results
from distill_vo.sources.source import level_mounting
from distill_vo.trajectory import Trajectory, read

MOUNTING = level_mounting(1.65)


def driven(frames: int, yaw: float = 0.01, start_ns: int = 0) -> Trajectory:
    """A base that drives 1 m a frame, to the left."""
    step = geometry.from_motion(np.array([1.0, 0, 0, 0, 0, yaw]))
    poses = [np.eye(4)]
    for _ in range(frames - 1):
        poses.append(poses[-1] @ step)
    return Trajectory.from_poses(start_ns + np.arange(frames) * 10**8, poses)


def test_results_are_four_files_and_what_is_returned(tmp_path):
    figures = write_results(tmp_path, driven(150, 0.011), driven(150), MOUNTING, {"seconds": 0.5})
    assert {f.name for f in tmp_path.iterdir()} == {
        "trajectory.tum", "trajectory.kitti", "path.png", "figures.json"}
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    assert figures["frames"] == 150 and figures["frames_per_second"] == 300
    assert figures["t_err_percent"] > 0 and figures["alignment"] == "none"
    assert cv2.imread(str(tmp_path / "path.png")) is not None


def test_tum_file_is_of_the_base_to_the_last_bit(tmp_path):
    trajectory = driven(20)
    write_results(tmp_path, trajectory, None, MOUNTING)
    back = read(tmp_path / "trajectory.tum")
    for name in ("stamps_ns", "positions", "quaternions"):
        np.testing.assert_array_equal(getattr(back, name), getattr(trajectory, name))


def test_kitti_file_is_of_the_camera_in_its_own_axes(tmp_path):
    write_results(tmp_path, driven(2, yaw=0.1), None, MOUNTING)
    poses = read(tmp_path / "trajectory.kitti").poses
    np.testing.assert_allclose(poses[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(poses[1, :3, 3], [0, 0, 1], atol=1e-12)  # forward is z
    turn = geometry.rotation_log(poses[1, :3, :3])
    np.testing.assert_allclose(turn, [0, -0.1, 0], atol=1e-12)  # to the left is about -y, down


def test_without_truth_figures_are_null(tmp_path):
    write_results(tmp_path, driven(150), None, MOUNTING)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["path_length_m"] == pytest.approx(149)
    for key in ("t_err_percent", "r_err_deg_per_100m", "ate_m", "rpe_translation_m",
                "rpe_rotation_deg", "seconds", "frames_per_second"):
        assert key in figures and figures[key] is None
    assert "t_err (%)                -" in table(figures)


def test_truth_of_another_time_does_not_cost_the_results(tmp_path):
    figures = write_results(tmp_path, driven(150), driven(150, start_ns=10**15), MOUNTING)
    assert figures["ate_m"] is None and figures["frames_with_truth"] == 0
    assert len(list(tmp_path.iterdir())) == 4


def test_figures_hold_no_nan():
    lost = driven(3)
    lost = Trajectory(lost.stamps_ns, lost.positions * np.nan, lost.quaternions)
    assert summary(lost, None)["path_length_m"] is None


def test_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="taken: results cannot be written"):
        write_results(tmp_path / "taken", driven(3), None, MOUNTING)


def test_a_single_pose_is_drawn(tmp_path):
    write_results(tmp_path, driven(1), driven(1), MOUNTING)
    assert (tmp_path / "path.png").stat().st_size > 1000
