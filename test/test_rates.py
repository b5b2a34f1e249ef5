"""The rate of the camera does not matter: keyframes are chosen by flow and time, not by count."""

from dataclasses import replace

import numpy as np
import pytest

from distill_vo import geometry
from distill_vo.camera import Camera
from distill_vo.odometry import VisualOdometry
from distill_vo.student import Student
from training.data.drive import Drive
from training.data.rehearsal import RehearsalSettings, render_sequence

TIMES = 6  # as many images as the 10 Hz the street is made for
FRAMES = 20


@pytest.fixture(scope="module")
def street():
    """Camera, images and poses of a street at 60 Hz, the car moving evenly between its poses at 10 Hz."""
    from training.data.render import Renderer

    sequence = render_sequence(RehearsalSettings(seed=30_004, frames=FRAMES, camera_height_sigma=0.0), 0)
    world = sequence._world
    drive, part = world.drive, np.arange((FRAMES - 1) * TIMES + 1) / TIMES
    before = np.minimum(part.astype(int), FRAMES - 2)
    steps = geometry.log(geometry.inverse(drive.cameras[:-1]) @ drive.cameras[1:])
    cameras = drive.cameras[before] @ geometry.exp(steps[before] * (part - before)[:, None])
    world.drive = Drive(drive.road, np.interp(part, np.arange(FRAMES), drive.stations), cameras)
    world.settings = replace(world.settings, frames=len(cameras))
    world.traffic.poses = [world.traffic.poses[k] for k in before]
    world.traffic.visible = [np.zeros_like(world.traffic.visible[k]) for k in before]  # it would jump
    camera = Camera.from_projection(sequence.K, 640, 192, sequence.camera_height)
    return camera, list(world.images(Renderer(640, 192))), geometry.inverse(cameras[0]) @ cameras


def run(street, every: int):
    camera, images, poses = street
    odometry = VisualOdometry(Student.load(device="cpu"), camera)
    estimates = [odometry.track(round(k * 1e9 / 60), images[k]) for k in range(0, len(images), every)]
    return estimates, poses[::every]


@pytest.mark.parametrize("rate", [30, 60])
def test_a_faster_camera_is_as_accurate_and_as_certain(street, rate):
    slow, truth = run(street, TIMES)
    fast, _ = run(street, 60 // rate)
    length = np.linalg.norm(np.diff(truth[:, :3, 3], axis=0), axis=1).sum()
    assert length > 8  # metres
    apart = geometry.to_motion(geometry.inverse(slow[-1].pose) @ fast[-1].pose)
    assert np.linalg.norm(apart[:3]) < 0.02 * length and np.degrees(np.linalg.norm(apart[3:])) < 0.5
    sizes = [np.sqrt(e[-1].pose_covariance.diagonal()) for e in (slow, fast)]
    np.testing.assert_allclose(sizes[1], sizes[0], rtol=0.3)
    noise = [np.diff([e.twist[2] for e in estimates[TIMES:]]).std() for estimates in (slow, fast)]
    assert noise[1] < 1.5 * noise[0]
