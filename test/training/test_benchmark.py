"""The benchmark's table holds what the evaluator says, by alignment, and refuses an empty folder."""

import numpy as np
import pytest
import torch

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.frontend import DenseFlow
from distill_vo.networks import NetworkSettings, PoseRegressor
from distill_vo.student import StudentSettings, save
from distill_vo.trajectory import Trajectory
from training import benchmark
from training.benchmark import load_teacher


@pytest.fixture
def truth():
    """A bend of 300 m, driven at 1 m a frame."""
    step = geometry.from_motion(np.array([0, 0, 1, 0, 0.01, 0]))
    poses = [np.eye(4)]
    for _ in range(300):
        poses.append(poses[-1] @ step)
    return Trajectory.from_poses(np.arange(301) * 10**8, np.array(poses))


def test_a_path_of_wrong_scale_is_wrong_unaligned_and_right_after_scaling(truth):
    small = Trajectory(truth.stamps_ns, truth.positions * 0.9, truth.quaternions)
    row = benchmark.line("somebody", "00", small, truth)
    # A tenth of the chord is missing; the bend's chords are a little shorter than its segments.
    assert 6 < row["none"]["t_err_percent"] < 10
    for alignment in ("scale", "sim3"):
        assert row[alignment]["t_err_percent"] < 0.01
    assert row["frames"] == 301


def test_interpolated_truth_begins_with_its_first_measurement(truth):
    held = np.maximum(np.arange(301), 2)  # the first pose for frames 0 to 2
    found = benchmark.measured(Trajectory(truth.stamps_ns, truth.positions[held], truth.quaternions[held]))
    assert found.stamps_ns[0] == truth.stamps_ns[3] and len(found) == 298
    assert len(benchmark.measured(truth)) == 301


def test_what_cannot_be_computed_is_a_dash(truth):
    short = Trajectory(truth.stamps_ns[:50], truth.positions[:50], truth.quaternions[:50])
    row = benchmark.line("somebody", "00", short, truth)
    assert row["none"]["t_err_percent"] is None
    text = benchmark.markdown({"command": "c", "commit": "c", "date": "d", "machine": "m", "lines": [row]})
    assert "| - | - |" in text


def test_figures_of_all_sequences_are_means_over_all_segments(truth):
    long, short, shortest = (Trajectory(truth.stamps_ns[:n], truth.positions[:n], truth.quaternions[:n])
                             for n in (296, 156, 56))
    small = Trajectory(short.stamps_ns, short.positions * 0.9, short.quaternions)
    rows = [benchmark.line("somebody", name, *pair) for name, pair in (
        ("00", (long, long)), ("01", (small, short)), ("02", (shortest, shortest)))]
    (row,) = benchmark.together(rows)
    # From every tenth frame on, 100 and 200 m where there is as much: 30 in 295 m, 6 in 155 m, none in 55 m.
    assert row["none"]["t_err_percent"] == pytest.approx(6 / 36 * rows[1]["none"]["t_err_percent"], rel=1e-6)
    assert row["sequence"] == "00+01" and row["frames"] == 296 + 156
    assert benchmark.together(rows[1:]) == []


def test_a_folder_without_sequences_is_refused(tmp_path):
    with pytest.raises(InputError, match="sequences"):
        benchmark.sequences(tmp_path)


def test_a_teacher_at_the_wheel_remembers_the_pairs_before(tmp_path):
    torch.manual_seed(0)
    shape = NetworkSettings("dense_flow", ((2, 2, 4),), (16,), hint_layer=1, lstm_layers=1, lstm_width=8)
    save(tmp_path / "teacher.safetensors", PoseRegressor(shape), StudentSettings(shape))
    pair = np.random.default_rng(0).normal(0, 3, DenseFlow.shape).astype(np.float32)
    pair[8] = 1  # corners that were found
    first, anew = (load_teacher(tmp_path / "teacher.safetensors") for _ in range(2))
    (once, _), (again, _) = first(pair), first(pair)
    assert not np.allclose(once, again, rtol=1e-3)
    np.testing.assert_array_equal(anew(pair)[0], once)
