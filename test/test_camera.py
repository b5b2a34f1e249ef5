"""Every camera that looks at the same scene gives the same canonical view."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from distill_vo.camera import CANONICAL, Camera
from distill_vo.errors import InputError
from distill_vo.frame import CanonicalView, halved

CAMERAS = {
    "kitti": Camera(1241, 376, 718.856, 718.856, 607.19, 185.22),
    "wide 4:3": Camera(640, 480, 310.0, 312.0, 322.0, 238.0, (-0.28, 0.07, 1e-4, -2e-4, 0.0)),
    "fisheye": Camera(1280, 800, 420.0, 421.0, 640.0, 395.0, (0.02, -0.01, 0.003, -0.001), "equidistant"),
    "4k": Camera(3840, 2160, 2200.0, 2200.0, 1919.5, 1079.5),
    "rational": Camera(1280, 720, 640.0, 640.0, 639.5, 359.5,
                       (0.1, -0.05, 1e-4, 1e-4, 0.01, 0.05, -0.02, 0.01), "rational_polynomial"),
}


def look(camera: Camera) -> np.ndarray:
    """What a camera sees of a smooth scene at infinity: brightness is a function of the ray."""
    x, y = np.meshgrid(np.arange(camera.width, dtype=np.float32),
                       np.arange(camera.height, dtype=np.float32))
    pixels = np.stack([x, y], -1).reshape(-1, 1, 2).astype(np.float64)
    d = np.array(camera.distortion or (0.0,) * 4)
    if camera.model == "equidistant":
        rays = cv2.fisheye.undistortPoints(pixels, camera.K, d)
    else:
        rays = cv2.undistortPointsIter(pixels, camera.K, d, None, None,
                                       (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9))
    u, v = rays.reshape(camera.height, camera.width, 2).transpose(2, 0, 1)
    return np.uint8(127 + 60 * np.sin(9 * u + 1) + 60 * np.cos(11 * v))


@pytest.mark.parametrize("name", CAMERAS)
def test_canonical_views_of_all_cameras_agree(name):
    view = CanonicalView(CAMERAS[name])
    assert view.coverage > 0.98
    difference = view(look(CAMERAS[name])).half.astype(float) - halved(look(CANONICAL))
    assert np.abs(difference[4:-4, 4:-4]).mean() < 1.0


def test_the_canonical_camera_sees_its_own_image():
    image = np.random.default_rng(0).integers(0, 256, (192, 640), np.uint8)
    np.testing.assert_array_equal(CanonicalView(CANONICAL, colour=True)(image).whole[..., 1], image)
    np.testing.assert_array_equal(CanonicalView(CANONICAL)(image).half, halved(image))


def test_colour_is_read_as_blue_green_red():
    image = np.zeros((192, 640, 3), np.uint8)
    image[..., 1] = 100
    assert np.all(CanonicalView(CANONICAL)(image).half == round(0.587 * 100))


def test_a_narrow_camera_covers_a_part_of_the_view():
    narrow = Camera(640, 480, 640.0, 640.0, 319.5, 239.5)
    half_width = np.tan(np.arctan(320 / 640)) * 380 / 320
    assert CanonicalView(narrow).coverage == pytest.approx(half_width, abs=0.01)


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
])
def test_calibrations_no_camera_can_have_are_refused(change, says):
    values = vars(CAMERAS["kitti"]) | change
    with pytest.raises(InputError, match=says):
        CanonicalView(Camera(**values))


def test_an_image_of_another_size_is_refused():
    with pytest.raises(InputError, match="320x240"):
        CanonicalView(CAMERAS["kitti"])(np.zeros((240, 320), np.uint8))


def test_a_calibration_file_with_an_infinite_size_is_refused(tmp_path):
    (tmp_path / "camera.yaml").write_text(
        "image_width: .inf\nimage_height: 192\ncamera_matrix: {data: [380, 0, 319.5, 0, 380, 91, 0, 0, 1]}\n")
    with pytest.raises(InputError, match="image_width"):
        Camera.from_yaml(tmp_path / "camera.yaml")
