"""Where light comes and goes, a filter does better with the odometry's covariance than with a constant."""

from pathlib import Path

import numpy as np
import yaml

from distill_vo import geometry
from distill_vo.camera import Camera
from distill_vo.odometry import VisualOdometry
from distill_vo.student import Student
from training.data.rehearsal import RehearsalSettings, render_sequence

DT, WHEEL_SIGMA, GYRO_SIGMA = 0.1, 0.4, 0.03  # s, m/s, rad/s
OPTICAL = np.eye(4)
OPTICAL[:3, :3] = geometry.OPTICAL_AXES
DARK = [(30, 45), (70, 85)]  # frames without light: longer than max_gap, twice


def extended_kalman_filter(measurements: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Measured (v, yaw rate) and covariance (2, 2), one or more a period -> states (N, 5): x y yaw v w."""
    state, P, states = np.zeros(5), np.diag([1e-6, 1e-6, 1e-6, 100.0, 1.0]), []
    Q, H = np.diag([0, 0, 0, 2.0 * DT, 0.5 * DT]) ** 2, np.eye(5)[3:]
    for period in measurements:
        x, y, yaw, v, w = state
        state = np.array([x + v * np.cos(yaw) * DT, y + v * np.sin(yaw) * DT, yaw + w * DT, v, w])
        F = np.eye(5)
        F[0, 2:4] = -v * np.sin(yaw) * DT, np.cos(yaw) * DT
        F[1, 2:4] = v * np.cos(yaw) * DT, np.sin(yaw) * DT
        F[2, 4] = DT
        P = F @ P @ F.T + Q
        for z, R in period:
            K = P @ H.T @ np.linalg.inv(H @ P @ H.T + R)
            state, P = state + K @ (z - H @ state), (np.eye(5) - K @ H) @ P
        states.append(state)
    return np.array(states)


def drive(seed: int):
    """True (v, yaw rate) of a drive, what the odometry says, its covariance; where there was light."""
    street = render_sequence(RehearsalSettings(seed=seed, frames=110, camera_height_sigma=0.0), 0)
    camera = Camera.from_projection(street.K, 640, 192, street.camera_height)
    odometry, rng = VisualOdometry(Student.load(device="cpu"), camera, OPTICAL), np.random.default_rng(0)
    light = np.array([not any(a <= k < b for a, b in DARK) for k in range(len(street))])
    estimates = []
    for frame, is_light in zip(street, light, strict=True):
        dark = rng.integers(0, 6, frame.image.shape).astype(np.uint8)
        estimates.append(odometry.track(frame.stamp_ns, frame.image if is_light else dark))
    poses = OPTICAL @ street.poses @ geometry.inverse(OPTICAL)
    truth = geometry.log(geometry.inverse(poses[:-1]) @ poses[1:])[:, [0, 5]] / DT
    twists = np.array([e.twist[[0, 5]] for e in estimates[1:]])
    covariances = np.array([e.twist_covariance[np.ix_([0, 5], [0, 5])] for e in estimates[1:]])
    return truth, twists, covariances, light[1:]


def test_with_this_covariance_it_beats_one_with_a_constant():
    rng, R = np.random.default_rng(1), np.diag([WHEEL_SIGMA, GYRO_SIGMA]) ** 2
    ours, theirs = [], []
    for seed in range(30_003, 30_007):
        truth, twists, covariances, light = drive(seed)
        errors = (twists - truth)[light]
        constant = [errors.T @ errors / len(errors)] * len(truth)  # the best there is while it sees
        for _ in range(5):
            others = truth + rng.normal(size=truth.shape) * [WHEEL_SIGMA, GYRO_SIGMA]
            for found, given in ((ours, covariances), (theirs, constant)):
                states = extended_kalman_filter([((z, C), (o, R)) for z, C, o in
                                                 zip(twists, given, others, strict=True)])
                found.append((states[5:, 3:] - truth[5:]) ** 2)
    assert np.all(np.sqrt(np.mean(ours, axis=(0, 1))) < 0.95 * np.sqrt(np.mean(theirs, axis=(0, 1))))


def test_the_example_fuses_the_twist_alone_and_no_pose():
    text = (Path(__file__).parents[1] / "config" / "ekf.yaml").read_text()
    parameters = yaml.safe_load(text)["ekf_filter_node"]["ros__parameters"]
    assert parameters["odom0"] == "odom" and parameters["publish_tf"]
    for name in ("odom0_config", "odom1_config", "imu0_config"):
        assert len(parameters[name]) == 15 and not any(parameters[name][:6])
    assert all(parameters["odom0_config"][6:12])
