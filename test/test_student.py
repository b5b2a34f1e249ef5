"""A student's file carries all of it, and damage is found before it is used."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from distill_vo import student as student_file
from distill_vo.camera import CANONICAL
from distill_vo.errors import InputError
from distill_vo.frontend import FRONT_ENDS, DenseFlow
from distill_vo.inference import Inference
from distill_vo.networks import NetworkSettings, PoseRegressor
from distill_vo.odometry import VisualOdometry
from distill_vo.student import Student, StudentSettings, save

SETTINGS = NetworkSettings("dense_flow", ((2, 2, 4), (2, 2, 4)), (16, 16), hint_layer=2,
                           input_scale=8.0, motion_scale=(0.1, 0.1, 0.5, 0.01, 0.02, 0.01))

OF_FRAMES = dataclasses.replace(SETTINGS, front_end="stacked_frames", convolutions=((8, 8, 4), (8, 8, 4)),
                                input_offset=128.0, input_scale=64.0)


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save(path, PoseRegressor(SETTINGS), StudentSettings(SETTINGS, sigma_scale=(2.0,) * 6))
    return path


@pytest.fixture
def flow():
    flow = np.random.default_rng(0).normal(0, 5, DenseFlow.shape).astype(np.float32)
    flow[8] = flow[8] > 0  # which corners were found
    return flow


def test_a_loaded_student_has_the_settings_it_was_saved_with(file):
    student = Student.load(file, "cpu")
    assert student.settings == StudentSettings(SETTINGS, sigma_scale=(2.0,) * 6)
    assert student.name == "tiny"


@pytest.mark.parametrize("settings", [
    SETTINGS, dataclasses.replace(SETTINGS, bins=9, bin_centre=(0.0, 0, 0.9, 0, 0, 0)),
    dataclasses.replace(SETTINGS, bins=9, bin_centre=(0.0, 0, 0.9, 0, 0, 0), motion_from_bins=True),
    OF_FRAMES], ids=["flow", "with bins", "classifier", "frames"])
def test_on_the_robot_a_network_says_what_it_said_in_training(settings):
    torch.manual_seed(0)
    network = PoseRegressor(settings).eval()
    front_end = FRONT_ENDS[settings.front_end]
    x = np.random.default_rng(0).uniform(0, 40, (3, *front_end.shape)).astype(front_end.dtype)
    with torch.inference_mode():
        trained = network(torch.from_numpy(x).float()).in_numbers()
    for said, expected in zip(Inference(network)(x), trained, strict=True):
        np.testing.assert_allclose(said, expected, rtol=1e-4, atol=1e-6)


def test_at_twice_the_speed_translations_are_twice_as_large():
    network = PoseRegressor(SETTINGS).eval()
    with torch.no_grad():
        network.encoder[0].weight[:, :2] = 0.0  # what is seen in pixels, which tells rotations
    flow = torch.from_numpy(np.random.default_rng(0).normal(8, 2, (1, *DenseFlow.shape))).float()
    with torch.inference_mode():
        once, twice = network(flow), network(2 * flow)
    torch.testing.assert_close(twice.motion[:, :3], 2 * once.motion[:, :3])
    torch.testing.assert_close(twice.motion[:, 3:], once.motion[:, 3:])
    torch.testing.assert_close(twice.log_sigma[:, :3], once.log_sigma[:, :3] + np.log(2))


def test_sigma_is_scaled_by_its_calibration():
    network = PoseRegressor(OF_FRAMES)
    x = np.random.default_rng(0).integers(0, 256, (6, 192, 640)).astype(np.float32)
    _, plain = Student(network, StudentSettings(OF_FRAMES), "plain")(x)
    _, scaled = Student(network, StudentSettings(OF_FRAMES, sigma_scale=(2.0,) * 6), "scaled")(x)
    np.testing.assert_allclose(scaled, 2 * plain)


def test_sigma_grows_with_the_turn():
    network = PoseRegressor(OF_FRAMES)
    x = np.random.default_rng(0).integers(0, 256, (6, 192, 640)).astype(np.float32)
    motion, plain = Student(network, StudentSettings(OF_FRAMES), "plain")(x)
    _, grown = Student(network, StudentSettings(OF_FRAMES, turning=(1e3,) * 6), "grown")(x)
    np.testing.assert_allclose(grown, plain * np.sqrt(1 + 1e3 * motion[4]**2))


def rewrite(path, change):
    """Write the file anew with weights and header as `change` leaves them."""
    with safe_open(path, "pt") as f:
        weights, header = {k: f.get_tensor(k) for k in f.keys()}, f.metadata()  # noqa: SIM118
    change(weights, header)
    save_file(weights, path, header)


def test_one_changed_weight_is_found(file):
    rewrite(file, lambda w, h: w["motion.bias"].add_(1e-6))
    with pytest.raises(InputError, match="digest"):
        Student.load(file)


def test_one_changed_setting_is_found(file):
    def change(weights, header):
        settings = json.loads(header["settings"])
        settings["sigma_scale"][0] = 1.0
        header["settings"] = json.dumps(settings, sort_keys=True)

    rewrite(file, change)
    with pytest.raises(InputError, match="digest"):
        Student.load(file)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 100, b"\x10" + b"\0" * 7 + b"{" * 16])
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.safetensors"):
        Student.load(path)


def test_a_truncated_file_is_refused(file):
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="safetensors"):
        Student.load(file)


def test_a_student_of_another_view_is_refused(tmp_path):
    wide = dataclasses.replace(CANONICAL, fx=200.0)
    save(tmp_path / "wide.safetensors", PoseRegressor(SETTINGS), StudentSettings(SETTINGS, camera=wide))
    with pytest.raises(InputError, match="view"):
        Student.load(tmp_path / "wide.safetensors")


def test_a_student_that_sees_whole_frames_drives_too(tmp_path):
    save(tmp_path / "frames.safetensors", PoseRegressor(OF_FRAMES), StudentSettings(OF_FRAMES))
    odometry = VisualOdometry(Student.load(tmp_path / "frames.safetensors", "cpu"), CANONICAL)
    frames = np.random.default_rng(0).integers(0, 256, (2, 192, 640, 3), np.uint8)
    moved = [odometry.track(i * 100_000_000, frame) for i, frame in enumerate(frames)]
    assert np.isfinite(moved[1].pose).all() and not np.array_equal(moved[1].pose, np.eye(4))


def test_an_unknown_name_lists_the_shipped_ones():
    with pytest.raises(InputError, match="flow-s"):
        Student.load("flow-xxl")


def test_an_unknown_device_lists_the_known_ones(file):
    with pytest.raises(InputError, match="auto, cpu, cuda"):
        Student.load(file, "tpu")


def hostile_file(path, **changes):
    """A file with good weights and the digest that belongs to it, but other settings."""
    weights, content = PoseRegressor(SETTINGS).state_dict(), dataclasses.asdict(StudentSettings(SETTINGS))
    for key, value in changes.items():
        (content["network"] if key in content["network"] else content)[key] = value
    text = json.dumps(content)
    save_file(weights, path, {"settings": text, "digest": student_file._digest(weights, text)})
    return path


@pytest.mark.parametrize("changes, said", [
    ({"sigma_scale": []}, "sigma_scale"), ({"sigma_scale": [float("nan")] * 6}, "sigma_scale"),
    ({"turning": []}, "turning"), ({"turning": [-1.0] * 6}, "turning"),
    ({"turning": [float("inf")] * 6}, "turning"),
    ({"squat": -0.02}, "squat"), ({"squat": float("nan")}, "squat"),
    ({"convolutions": []}, "there are convolutions"), ({"convolutions": [[2, 0, 4]]}, "positive"),
    ({"convolutions": [[3, 2, 4]]}, "kernels"), ({"convolutions": [[2, 2, 3]]}, "channels even"),
    ({"convolutions": [[601, 1, 2]]}, "at most 16"), ({"convolutions": [[8, 8, 4]]}, "divided"),
    ({"fully_connected": [15, 16]}, "are even"),
    ({"fully_connected": [10**6, 10**6]}, "do not fit"), ({"lstm_layers": 10**9}, "lstm_layers"),
    ({"motion_scale": [1.0]}, "motion_scale"), ({"motion_scale": [1e160] * 6}, "finite"),
    ({"input_scale": 0.0}, "input_scale"),
    ({"input_offset": float("inf")}, "input_offset")])
def test_settings_that_no_student_can_have_are_refused_before_memory_is_taken(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        Student.load(hostile_file(tmp_path / "hostile.safetensors", **changes), "cpu")


@pytest.mark.parametrize(("layer", "weight"), [("log_sigma", 1e2), ("motion", 1e20)])
@pytest.mark.parametrize("step_px", [2, 8])  # within a keyframe, and one each
def test_what_weights_that_blow_up_say_is_not_published(tmp_path, layer, weight, step_px):
    torch.manual_seed(0)
    network = PoseRegressor(SETTINGS)
    torch.nn.init.constant_(getattr(network, layer).weight, weight)
    save(tmp_path / "wild.safetensors", network, StudentSettings(SETTINGS))
    odometry = VisualOdometry(Student.load(tmp_path / "wild.safetensors", "cpu"), CANONICAL)
    scene = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (192, 800), np.uint8), (0, 0), 2)
    for i in range(6):
        estimate = odometry.track(i * 100_000_000, scene[:, step_px * i:640 + step_px * i])
        assert np.isfinite(estimate.pose_covariance).all() and np.abs(estimate.pose).max() < 1e3
