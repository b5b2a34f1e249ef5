"""Offline sources: what is read, and what is said where it cannot be."""

import logging

import cv2
import numpy as np
import pytest

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.sources import open_source
from distill_vo.trajectory import Trajectory, write_kitti, write_tum

SIZE = (96, 320)  # rows, columns
CALIB = "P0: 180 0 160 0 0 180 46 0 0 0 1 0\nP2: 180 0 160 9 0 180 46 0 0 0 1 0\n"
CAMERA_YAML = """
image_width: 320
image_height: 96
camera_matrix: {rows: 3, cols: 3, data: [180, 0, 160, 0, 180, 46, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.01, 0, 0, 0]}
camera_height: 1.2
"""


def noise(seed: int, shape=SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def make_kitti(root, frames=5, folder="image_0", poses=True):
    """A KITTI sequence of noise; the camera goes 1 m forward a frame."""
    sequence = root / "sequences" / "07"
    (sequence / folder).mkdir(parents=True)
    shape = SIZE if folder == "image_0" else (*SIZE, 3)
    for i in range(frames):
        cv2.imwrite(str(sequence / folder / f"{i:06d}.png"), noise(i, shape))
    (sequence / "calib.txt").write_text(CALIB)
    (sequence / "times.txt").write_text("".join(f"{0.103 * i:.6e}\n" for i in range(frames)))
    if poses:
        motions = np.zeros((frames, 6))
        motions[:, 2] = np.arange(frames)
        write_kitti(root / "poses" / "07.txt", Trajectory.from_poses(
            np.arange(frames), geometry.from_motion(motions)))
    return sequence


def test_kitti_sequence_is_read_whole(tmp_path):
    source = open_source(make_kitti(tmp_path))
    frames = list(source)
    assert len(source) == len(frames) == 5
    assert [f.stamp_ns for f in frames] == [0, 103_000_000, 206_000_000, 309_000_000, 412_000_000]
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, noise(i))
    assert (source.camera.width, source.camera.height, source.camera.fx) == (320, 96, 180)
    assert source.camera.mount_height_m == 1.65


def test_truth_of_the_base_moves_along_x(tmp_path):
    source = open_source(make_kitti(tmp_path))
    np.testing.assert_allclose(source.truth.positions,
                               [[i, 0, 0] for i in range(5)], atol=1e-12)
    np.testing.assert_array_equal(source.truth.stamps_ns, [f.stamp_ns for f in source])


def test_colour_camera_stands_beside_camera_0(tmp_path):
    source = open_source(make_kitti(tmp_path, folder="image_2"), camera_index=2)
    assert next(iter(source)).image.shape == (*SIZE, 3)
    # P2 = K [I | t] with t = 9 / 180: camera 0's points lie 5 cm to the right of camera 2.
    np.testing.assert_allclose(source.base_T_camera[:3, 3], [0, 0.05, 1.65], atol=1e-12)


def test_without_times_ten_hertz(tmp_path):
    sequence = make_kitti(tmp_path)
    (sequence / "times.txt").unlink()
    assert [f.stamp_ns for f in open_source(sequence)] == [i * 10**8 for i in range(5)]


def test_calibration_file_tells_the_height_unless_it_is_given(tmp_path):
    sequence, calibration = make_kitti(tmp_path), write(tmp_path / "camera.yaml", CAMERA_YAML)
    for given, height in ((None, 1.2), (2.0, 2.0)):
        source = open_source(sequence, calibration=calibration, mount_height_m=given)
        assert source.camera.mount_height_m == source.base_T_camera[2, 3] == height


def test_missing_and_unreadable_frames_keep_the_stamps_of_the_others(tmp_path, caplog):
    sequence = make_kitti(tmp_path)
    (sequence / "image_0" / "000001.png").unlink()
    broken = sequence / "image_0" / "000003.png"
    broken.write_bytes(broken.read_bytes()[:2000])
    cv2.imwrite(str(sequence / "image_0" / "000004.png"), noise(4, (50, 60)))
    frames = list(open_source(sequence))
    assert [f.stamp_ns for f in frames] == [0, 206_000_000, 309_000_000, 412_000_000]
    assert [f.image is None for f in frames] == [False, False, True, True]
    assert "1 image(s) missing" in caplog.text
    assert "000003.png: is damaged" in caplog.text
    assert "60x50, the calibration is for 320x96" in caplog.text


def spoil(sequence, name):
    """One thing that is wrong with a sequence."""
    if name == "no calibration":
        (sequence / "calib.txt").unlink()
    elif name == "calibration of other cameras":
        (sequence / "calib.txt").write_text("P1: 1 2 3\n")
    elif name == "calibration that is none":
        (sequence / "calib.txt").write_text("P0: 0 0 0 0 0 0 0 0 0 0 0 0\n")
    elif name == "empty folder":
        for file in (sequence / "image_0").iterdir():
            file.unlink()
    elif name == "nothing readable":
        for file in (sequence / "image_0").iterdir():
            file.write_bytes(b"\x89PNG")
    elif name == "times too short":
        (sequence / "times.txt").write_text("0.0\n0.1\n")
    elif name == "times not ascending":
        (sequence / "times.txt").write_text("0 1 2 2 nan\n")


@pytest.mark.parametrize("name, sentence", [
    ("no calibration", r"calib.txt: calibration cannot be read .* --calibration FILE"),
    ("calibration of other cameras", "has no line 'P0:'"),
    ("calibration that is none", "has no line 'P0:'"),
    ("empty folder", "image_0: holds no images"),
    ("nothing readable", "none of the 5 images can be read"),
    ("times too short", "has 2 times, but there are images up to number 4"),
    ("times not ascending", "ascending seconds"),
])
def test_what_is_wrong_with_a_sequence_is_said(tmp_path, name, sentence):
    sequence = make_kitti(tmp_path)
    spoil(sequence, name)
    with pytest.raises(InputError, match=sentence):
        open_source(sequence)


def test_a_name_that_is_no_frame_number_is_not_taken_for_one(tmp_path):
    sequence = make_kitti(tmp_path)
    (sequence / "image_0" / f"{0:018d}123456789012345.png").write_bytes(b"")
    assert len(open_source(sequence)) == 5


def test_camera_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="has no folder image_2"):
        open_source(make_kitti(tmp_path), camera_index=2)


def test_names_of_images_are_microseconds_too(tmp_path):
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{1_400_000_000_000_000 + i * 62_500}.png"), noise(i))
    (tmp_path / "camera.yaml").write_text(CAMERA_YAML)
    assert np.diff([f.stamp_ns for f in open_source(tmp_path)]).tolist() == [62_500_000] * 2


def test_a_calibration_of_another_size_is_refused_once(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), noise(0)[:50])
    (tmp_path / "camera.yaml").write_text(CAMERA_YAML)
    with pytest.raises(InputError, match="images are 320x50, the calibration is for 320x96"):
        open_source(tmp_path)
    with pytest.raises(InputError, match="images are 320x96, the calibration is for 100x96"):
        (tmp_path / "camera.yaml").write_text(CAMERA_YAML.replace("320", "100"))
        open_source(make_kitti(tmp_path), calibration=tmp_path / "camera.yaml")


def test_what_is_chosen_of_another_kind_of_source_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no rosbag2 bag, of which --image-topic chooses"):
        open_source(make_kitti(tmp_path), image_topic="/camera")
    cv2.imwrite(str(tmp_path / "0.png"), noise(0))
    (tmp_path / "camera.yaml").write_text(CAMERA_YAML)
    with pytest.raises(InputError, match="is no KITTI sequence, of which --camera chooses"):
        open_source(tmp_path, camera_index=2)


def test_folder_of_images_with_its_calibration(tmp_path):
    for i in (3, 1, 2):
        cv2.imwrite(str(tmp_path / f"{1_700_000_000_000_000_000 + i * 10**8}.jpg"), noise(i))
    (tmp_path / "camera.yaml").write_text(CAMERA_YAML)
    source = open_source(tmp_path)
    assert [f.stamp_ns - 1_700_000_000 * 10**9 for f in source] == [10**8, 2 * 10**8, 3 * 10**8]
    assert source.camera.mount_height_m == 1.2 and source.base_T_camera[2, 3] == 1.2
    assert len(source.camera.distortion) == 5 and source.truth is None
    assert open_source(tmp_path, mount_height_m=2.0).camera.mount_height_m == 2.0


def test_video_has_the_stamps_of_its_rate(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "drive.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20,
                             SIZE[::-1])
    for i in range(6):
        writer.write(noise(i, (*SIZE, 3)))
    writer.release()
    (tmp_path / "camera.yaml").write_text(CAMERA_YAML)
    source = open_source(tmp_path / "drive.avi")
    assert [f.stamp_ns for f in source] == [i * 50_000_000 for i in range(6)]
    assert all(f.image.shape == (*SIZE, 3) for f in source)


@pytest.mark.parametrize("make, sentence", [
    (lambda d: d / "nowhere", "nowhere: does not exist"),
    (lambda d: d, "holds no PNG or JPEG images, no KITTI sequence and no rosbag2 bag"),
    (lambda d: write(d / "notes.txt"), "no rosbag2 file .* and no video"),
    (lambda d: write(d / "drive.mp4"), "needs a calibration and there is no YAML"),
    (lambda d: write(d / "camera.yaml", CAMERA_YAML) and write(d / "drive.mp4"), "is not a video"),
    (lambda d: write(d / "0.png") and d, "needs a calibration and there is no YAML"),
    (lambda d: write(d / "a.yaml") and write(d / "b.yaml") and write(d / "0.png") and d,
     "a.yaml, b.yaml are beside it"),
    (lambda d: write(d / "drive.mcap"), "is not a whole rosbag2 bag"),
    (lambda d: write(d / "drive.db3"), "is not a whole rosbag2 bag"),
])
def test_what_is_no_source_is_said(tmp_path, make, sentence):
    with pytest.raises(InputError, match=sentence):
        open_source(make(tmp_path))


def write(path, text="nothing"):
    path.write_text(text)
    return path


def test_truth_file_for_any_source(tmp_path):
    sequence = make_kitti(tmp_path, poses=False)
    assert open_source(sequence).truth is None
    poses = geometry.from_motion(np.array([[0, 0, i, 0, 0, 0] for i in range(9)], float))
    write_kitti(tmp_path / "camera.txt", Trajectory.from_poses(np.arange(9), poses))
    of_camera = open_source(sequence, truth=str(tmp_path / "camera.txt")).truth
    np.testing.assert_allclose(of_camera.positions[:, 0], np.arange(5), atol=1e-12)
    write_tum(tmp_path / "base.tum", of_camera)
    of_base = open_source(sequence, truth=str(tmp_path / "base.tum")).truth
    np.testing.assert_array_equal(of_base.positions, of_camera.positions)
    with pytest.raises(InputError, match="no such trajectory file"):
        open_source(sequence, truth="/ground_truth")


def test_notes_are_logged_not_printed(tmp_path, capsys, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "camera.yaml").write_text(CAMERA_YAML)
    cv2.imwrite(str(tmp_path / "a.png"), noise(0))
    open_source(tmp_path)
    assert "10 Hz is taken" in caplog.text and capsys.readouterr().out == ""
