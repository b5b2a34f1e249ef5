"""Calibrations as ROS gives them, and those no camera can have."""

from types import SimpleNamespace

import numpy as np
import pytest

from distill_vo.camera import Camera
from distill_vo.errors import InputError
from distill_vo.frame import CanonicalView

KITTI = Camera(1241, 376, 718.856, 718.856, 607.19, 185.22)


def test_region_and_binning_leave_rays_where_they_are():
    full = SimpleNamespace(width=1280, height=720, k=[900.0, 0, 640, 0, 900.0, 360, 0, 0, 1.0], d=[],
                           distortion_model="", binning_x=0, binning_y=0,
                           roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0))
    part = SimpleNamespace(**{**vars(full), "binning_x": 2, "binning_y": 2,
                              "roi": SimpleNamespace(x_offset=100, y_offset=50, width=800, height=600)})
    whole, cut = Camera.from_camera_info(full), Camera.from_camera_info(part)
    seen_whole, seen_cut = ((camera.K @ [0.1, -0.2, 1.0])[:2] for camera in (whole, cut))
    # Pixel centres: full-resolution pixels 0 and 1 merge to the binned pixel 0, centred at 0.5.
    np.testing.assert_allclose((seen_whole - [100, 50] - 0.5) / 2, seen_cut)
    assert (cut.width, cut.height) == (400, 300)


def test_calibration_file_of_ros_is_read(tmp_path):
    (tmp_path / "camera.yaml").write_text(
        "image_width: 640\nimage_height: 480\ncamera_name: c\ndistortion_model: plumb_bob\n"
        "camera_matrix: {rows: 3, cols: 3, data: [500., 0, 320, 0, 501., 240, 0, 0, 1]}\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}\ncamera_height: 1.2\n")
    camera = Camera.from_yaml(tmp_path / "camera.yaml")
    assert camera == Camera(640, 480, 500, 501, 320, 240, (0.1, 0, 0, 0, 0), "plumb_bob", 1.2)


@pytest.mark.parametrize("change, says", [
    ({"fx": 0.0}, "focal lengths"), ({"width": 0}, "image size"), ({"cx": float("nan")}, "finite"),
    ({"model": "omnidirectional"}, "distortion model"), ({"distortion": (0.1,)}, "1 coefficients"),
    ({"mount_height_m": -1.0}, "height"), ({"cx": 9000.0}, "seen by this camera"),
    ({"fx": 5e-324, "fy": 5e-324}, "focal lengths"), ({"fy": 1e7}, "focal lengths"),
    ({"fx": 3.8e5, "fy": 3.8e5, "model": "rational_polynomial",
      "distortion": (1e7, 0, 0, 0, 0, 1e10, 0, 0)}, "far too long"),
])
def test_calibrations_no_camera_can_have_are_refused(change, says):
    values = vars(KITTI) | change
    with pytest.raises(InputError, match=says):
        CanonicalView(Camera(**values))


def test_a_calibration_file_with_an_infinite_size_is_refused(tmp_path):
    (tmp_path / "camera.yaml").write_text(
        "image_width: .inf\nimage_height: 192\ncamera_matrix: {data: [380, 0, 319.5, 0, 380, 91, 0, 0, 1]}\n")
    with pytest.raises(InputError, match="image_width"):
        Camera.from_yaml(tmp_path / "camera.yaml")
