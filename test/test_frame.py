"""Every camera that looks at the same scene gives the same canonical view."""

import cv2
import numpy as np
import pytest

from distill_vo import geometry
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
    seen, expected = view(look(CAMERAS[name])), CanonicalView(CANONICAL)(look(CANONICAL))
    assert np.abs(seen.half.astype(float) - expected.half)[4:-4, 4:-4].mean() < 0.4
    assert np.abs(seen.road.astype(float) - expected.road).mean() < 0.35


def test_the_canonical_camera_sees_its_own_image():
    image = np.random.default_rng(0).integers(0, 256, (192, 640), np.uint8)
    np.testing.assert_array_equal(CanonicalView(CANONICAL, "colour")(image).whole[..., 1], image)
    np.testing.assert_array_equal(CanonicalView(CANONICAL, "grey")(image).whole, image)
    np.testing.assert_array_equal(CanonicalView(CANONICAL)(image).half, halved(image))


@pytest.mark.parametrize("fx", [310, 560, 640, 719, 2200])
def test_nothing_is_skipped_when_the_view_is_smaller_than_the_image(fx):
    x, y = np.meshgrid(np.arange(2 * fx), np.arange(fx))
    checkers = ((x + y) % 2 * 255).astype(np.uint8)
    half = CanonicalView(Camera(2 * fx, fx, fx, fx, fx - 0.5, fx / 2 - 0.5))(checkers).half
    assert half.std() < 12  # of 127


def test_colour_is_read_as_blue_green_red():
    image = np.zeros((192, 640, 3), np.uint8)
    image[..., 1] = 100
    assert np.all(CanonicalView(CANONICAL)(image).half == round(0.587 * 100))


def test_a_narrow_camera_covers_a_part_of_the_view():
    narrow = Camera(640, 480, 640.0, 640.0, 319.5, 239.5)
    half_width = np.tan(np.arctan(320 / 640)) * 380 / 320
    assert CanonicalView(narrow).coverage == pytest.approx(half_width, abs=0.01)


def test_an_image_of_another_size_is_refused():
    with pytest.raises(InputError, match="320x240"):
        CanonicalView(CAMERAS["kitti"])(np.zeros((240, 320), np.uint8))


def test_what_a_lens_model_folds_back_is_not_taken_for_seen():
    """Beyond 49 degrees r (1 - 0.25 r^2) falls again, and what is there would be seen twice."""
    aside = geometry.rotation_exp(np.radians([0.0, 20.0, 0.0]))
    camera = Camera(1280, 720, 800.0, 800.0, 639.5, 359.5, (-0.25, 0.0, 0.0, 0.0))
    rays = np.stack([*np.meshgrid((np.arange(640) - CANONICAL.cx) / CANONICAL.fx,
                                  (np.arange(192) - CANONICAL.cy) / CANONICAL.fy), np.ones((192, 640))], -1)
    x, y, z = np.moveaxis(rays @ aside, -1, 0)
    r = np.hypot(x, y) / z
    shrunk = 800 / z * (1 - 0.25 * r**2)
    seen = (np.abs(x * shrunk) < 640) & (np.abs(y * shrunk) < 360) & (r < np.sqrt(4 / 3))
    assert CanonicalView(camera, rotation=aside).coverage == pytest.approx(seen.mean(), abs=0.01)
    assert seen.mean() < 0.9
