"""What is in the box: small, described by its card, and able to drive a street it has never seen."""

import json
from itertools import pairwise

import numpy as np
import pytest
from made_up import mirrored

from distill_vo import geometry
from distill_vo.camera import Camera
from distill_vo.frame import CanonicalView
from distill_vo.networks import MIRROR_SIGNS, count_parameters
from distill_vo.odometry import VisualOdometry
from distill_vo.student import DEFAULT, MODELS, Student, student_names
from training.data.rehearsal import RehearsalSequence, RehearsalSettings, render_sequence


def test_the_default_student_is_there():
    assert DEFAULT in student_names()


@pytest.mark.parametrize("name", student_names())
def test_its_card_is_its_own(name):
    student = Student.load(name, "cpu")
    about = json.loads((MODELS / f"{name}.json").read_text())
    assert about["digest"] == student.digest and student.digest in (MODELS / f"{name}.md").read_text()
    assert about["parameters"] == count_parameters(student.network)
    assert (MODELS / f"{name}.safetensors").stat().st_size < 10e6


def unknown_street() -> tuple[RehearsalSequence, Camera]:
    street = render_sequence(RehearsalSettings(seed=30_000, frames=60, camera_height_sigma=0.0), 0)
    return street, Camera.from_projection(street.K, 640, 192, street.camera_height)


@pytest.mark.parametrize("name", student_names())
def test_what_it_sees_in_a_mirror_moves_mirrored(name):
    student, (street, camera) = Student.load(name, "cpu"), unknown_street()
    frames = [CanonicalView(camera, student.front_end.whole)(frame.image) for frame in street]
    seen = np.array([student.front_end(a, b) for a, b in pairwise(frames)])
    (motions, sigmas), (of_mirrored, _) = student(seen), student(mirrored(seen))
    assert (np.abs(MIRROR_SIGNS * of_mirrored - motions) < 1e-3 * sigmas).all()


@pytest.mark.parametrize("degrees", [1.1, 12.0])
def test_a_camera_that_is_told_to_look_down_sees_the_same_metres(degrees):
    settings = RehearsalSettings(seed=30_000, frames=60, height=400, cy=199.5, camera_height_sigma=0.0,
                                 pitch_deg=degrees, pitch_sigma_deg=0.0)
    street = render_sequence(settings, 0)
    base_T_camera = np.eye(4)
    base_T_camera[:3, :3] = geometry.OPTICAL_AXES @ geometry.rotation_exp([-np.radians(degrees), 0.0, 0.0])
    camera = Camera.from_projection(street.K, 640, 400, street.camera_height)
    odometry = VisualOdometry(Student.load(DEFAULT, "cpu"), camera, base_T_camera)
    estimates = [odometry.track(frame.stamp_ns, frame.image) for frame in street]
    said, true = (np.linalg.norm(np.diff([pose[:3, 3] for pose in poses], axis=0), axis=1).sum()
                  for poses in ([e.pose for e in estimates], street.poses))
    assert true > 20 and said == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize("name", student_names())
def test_it_drives_an_unknown_street_in_metres(name):
    street, camera = unknown_street()
    odometry = VisualOdometry(Student.load(name, "cpu"), camera)
    estimates = [odometry.track(frame.stamp_ns, frame.image) for frame in street]
    length = np.linalg.norm(np.diff(street.poses[:, :3, 3], axis=0), axis=1).sum()
    error = geometry.to_motion(geometry.inverse(street.poses[-1]) @ estimates[-1].pose)
    assert length > 20  # metres: a drive, not a stop
    assert np.linalg.norm(error[:3]) < 0.1 * length
    assert np.degrees(np.linalg.norm(error[3:])) < 4
