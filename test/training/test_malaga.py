"""Malaga's urban extracts: images with their stamps, and a GPS track to compare a path with."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_up import MS, TWIST, constant_velocity, noise

from distill_vo.errors import InputError
from distill_vo.evaluation.metrics import evaluate
from distill_vo.sources import open_source
from distill_vo.sources.malaga import at_images, read_camera, read_gps
from distill_vo.trajectory import Trajectory
from training.data.drives import Choice, find_drives

PARAMETERS = """
// Rectified
[CAMERA_LEFT]
resolution=[320 96]
cx=160.5  // pixels
cy=46.25
fx=190
fy=190.5
dist=[0 0 0 0 0]
[CAMERA_RIGHT]
resolution=[320 96]
cx=1
cy=1
fx=1
fy=1
dist=[0 0 0 0 0]
[CAMERA_LEFT2RIGHT_POSE]
pose_quaternion=[0.119320 -0.000336 0.000373 0.999994 -0.000329 -0.001567 0.003142]
"""
START = 1261229981_580023000
EAST = np.diag([-1.0, -1.0, 1.0, 1.0])  # the GPS's axes are turned against the start's


def make_malaga(root: Path, seconds=10) -> Path:
    """A drive of constant velocity, 20 images and one fix a second; the fix at 3 s is lost."""
    images = root / "extract_rectified_320x96_Images"
    images.mkdir(parents=True)
    for k in range(20 * seconds):
        stamp = START + k * 50 * MS
        name = f"img_CAMERA1_{stamp // 10**9}.{stamp % 10**9 // 1000:06d}"
        cv2.imwrite(str(images / f"{name}_left.jpg"), noise(k % 3))
        (images / f"{name}_right.jpg").touch()
    (root / "camera_params_rectified_a=0_320x96.txt").write_text(PARAMETERS)
    lines = ["% Time Lat Lon Alt fix #sats speed dir Local_X Local_Y Local_Z rawlog_ID Geocen_X ..."]
    for k in range(1, seconds):
        stamp = 1261229981 + k
        position = (EAST @ constant_velocity([stamp * 10**9 - START])[0])[:3, 3] + [100, 200, 3]
        lines.append(f"{stamp} 0.64 -0.07 10 {int(k != 3)} 8 3 1 {' '.join(map(str, position))} " + "0 " * 14)
    (root / "extract_all-sensors_GPS.txt").write_text("\n".join(lines))
    return root


def test_malaga_extract(tmp_path):
    source = open_source(make_malaga(tmp_path))
    frames = list(source)
    assert len(frames) == 200 and frames[0].stamp_ns == START
    assert frames[1].stamp_ns - frames[0].stamp_ns == 50 * MS
    assert (source.camera.fx, source.camera.cy, source.camera.distortion) == (190, 46.25, ())
    assert not source.truth.oriented and len(source.truth) == 7  # the image nearest the first was before it
    assert set(source.truth.stamps_ns) <= {f.stamp_ns for f in frames}


def test_malaga_path_is_compared_after_alignment_and_never_its_orientation(tmp_path):
    source = open_source(make_malaga(tmp_path))
    stamps = np.array([f.stamp_ns for f in source])
    figures = evaluate(Trajectory.from_poses(stamps, constant_velocity(stamps - START)), source.truth)
    assert figures.alignment == "se3"  # GPS has no heading the first poses could be laid on
    assert figures.ate_m < 0.1  # positions between two fixes are those of the chord
    assert abs(figures.truth_length_m - 7 * np.linalg.norm(TWIST[:3])) < 1
    assert figures.t_err_percent is figures.r_err_deg_per_100m is None
    assert figures.rpe_translation_m is figures.rpe_rotation_deg is None
    wrong = constant_velocity(stamps - START, TWIST * [2, 2, 2, 1, 1, 1])
    assert evaluate(Trajectory.from_poses(stamps, wrong), source.truth).ate_m > 1
    assert evaluate(Trajectory.from_poses(stamps, wrong), source.truth, "sim3").ate_m < 0.1


def test_gps_is_moved_to_the_nearest_image(tmp_path):
    line = Trajectory(np.array([0, 1000, 2000]) * MS, np.array([[0.0, 0, 0], [10, 0, 0], [30, 0, 0]]),
                      np.tile([0, 0, 0, 1.0], (3, 1)), oriented=False)
    found = at_images(line, np.array([-20, 30, 980, 1030, 1500, 1700]) * MS)
    assert (found.stamps_ns // MS).tolist() == [980]
    np.testing.assert_allclose(found.positions, [[9.8, 0, 0]])
    assert at_images(line, np.array([500, 600]) * MS) is None


def test_malaga_is_not_trained_on(tmp_path):
    with pytest.raises(InputError, match="GPS positions but no true poses.*distill_vo run"):
        find_drives(make_malaga(tmp_path, seconds=1), Choice())


def test_malaga_raw_camera_is_distorted(tmp_path):
    file = tmp_path / "camera_params_raw_320x96.txt"
    text = PARAMETERS.replace("CAMERA_LEFT]", "CAMERA_PARAMS_LEFT]")
    file.write_text(text.replace("dist=[0 0 0 0 0]", "dist=[-3.6e-001 1.7e-001 0 0 0]", 1))
    assert read_camera(file, 1.5).distortion == (-0.36, 0.17, 0, 0, 0)


@pytest.mark.parametrize("focal, size", [("wide", "320 96"), ("", "320 96"), ("190", "320"), ("-1", "320 96"),
                                         ("inf", "320 96"), ("190", "inf 96")])
def test_malaga_parameters_that_are_none(tmp_path, focal, size):
    file = tmp_path / "camera.txt"
    file.write_text(PARAMETERS.replace("fx=190", f"fx={focal}").replace("320 96", size))
    with pytest.raises(InputError, match="camera.txt: is no camera parameter file of the Malaga data set"):
        read_camera(file, 1.65)


@pytest.mark.parametrize("text", ["", "1 2 3", "inf" + " 1" * 24, "a" + " 1" * 24, "1" + " nan" * 24])
def test_gps_files_that_are_none(tmp_path, text):
    file = tmp_path / "GPS.txt"
    file.write_text(f"{text}\n{text}\n")
    with pytest.raises(InputError, match="GPS.txt: is no GPS file"):
        read_gps(file)


def test_malaga_without_gps_or_parameters(tmp_path, caplog):
    root = make_malaga(tmp_path, seconds=1)
    (root / "extract_all-sensors_GPS.txt").unlink()
    with caplog.at_level(logging.WARNING):
        assert open_source(root).truth is None
    assert "has 0 GPS files" in caplog.text
    (root / "camera_params_rectified_a=0_320x96.txt").unlink()
    with pytest.raises(InputError, match="needs one camera_params_..._320x96.txt beside it, but .* none"):
        open_source(root)
