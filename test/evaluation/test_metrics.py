"""Figures against the truth: what the protocols define, and what others published."""

import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.evaluation.metrics import ALIGNMENTS, associate, evaluate, segment_errors
from distill_vo.trajectory import Trajectory, read

PERIOD_NS = 100_000_000


def path_of(motions) -> Trajectory:
    """Motions (N, 6) chained from the identity."""
    poses = [np.eye(4)]
    for step in geometry.from_motion(np.asarray(motions, float)):
        poses.append(poses[-1] @ step)
    return Trajectory.from_poses(np.arange(len(poses)) * PERIOD_NS, poses)


def straight(frames: int, step_m: float = 1.0) -> Trajectory:
    return path_of(np.tile([0, 0, step_m, 0, 0, 0], (frames, 1)))


def winding(frames: int = 400, seed: int = 0) -> Trajectory:
    rng = np.random.default_rng(seed)
    motions = rng.normal(0, [0.02, 0.02, 0.1, 0.003, 0.01, 0.003], (frames, 6)) + [0, 0, 1, 0, 0, 0]
    motions[:, 4] += 0.03 * np.sin(np.arange(frames) / 30)
    return path_of(motions)


def disturbed(truth: Trajectory, seed: int = 1) -> Trajectory:
    noise = np.random.default_rng(seed).normal(0, [0.02] * 3 + [0.001] * 3, (len(truth) - 1, 6))
    steps = geometry.inverse(truth.poses[:-1]) @ truth.poses[1:] @ geometry.from_motion(noise)
    return path_of(geometry.to_motion(steps))


def moved(trajectory: Trajectory, by: np.ndarray, scale: float = 1.0) -> Trajectory:
    poses = trajectory.poses.copy()
    poses[:, :3, 3] *= scale
    return Trajectory.from_poses(trajectory.stamps_ns, by @ poses)


SOMEWHERE = geometry.from_motion(np.array([10.0, -4.0, 3.0, 0.3, -1.2, 0.5]))


def test_truth_against_itself_has_no_error():
    figures = evaluate(winding(), winding())
    assert figures.t_err_percent == pytest.approx(0, abs=1e-9)
    assert figures.r_err_deg_per_100m == pytest.approx(0, abs=1e-5)  # arccos near 1
    assert figures.ate_m == pytest.approx(0, abs=1e-9)
    assert figures.truth_length_m == pytest.approx(figures.path_length_m)


def test_scale_error_is_t_err():
    figures = evaluate(straight(300, 1.05), straight(300))
    # The segment of 100 m ends at the first frame beyond it, at 101 m.
    segments = {100.0: 20, 200.0: 10}
    expected = sum(n * 5 * (m + 1) / m for m, n in segments.items()) / sum(segments.values())
    assert figures.t_err_percent == pytest.approx(expected)
    assert figures.r_err_deg_per_100m == pytest.approx(0, abs=1e-5)
    assert figures.rpe_translation_m == pytest.approx(0.05)


def test_yaw_drift_is_r_err():
    drift = np.radians(0.02)  # a frame, that is, a metre
    figures = evaluate(path_of(np.tile([0, 0, 1, 0, drift, 0], (900, 1))), straight(900))
    assert figures.r_err_deg_per_100m == pytest.approx(2.0, rel=0.01)
    assert figures.rpe_rotation_deg == pytest.approx(0.02)


def test_segments_are_those_of_the_devkit():
    """Against evaluate_odometry.cpp, transcribed loop by loop."""
    truth, estimate = winding(950), disturbed(winding(950))
    along = [0.0]
    for a, b in zip(truth.positions[:-1], truth.positions[1:], strict=True):
        along.append(along[-1] + np.linalg.norm(b - a))
    t, r = [], []
    for first in range(0, len(truth), 10):
        for length in range(100, 900, 100):
            beyond = (i for i in range(first, len(along)) if along[i] > along[first] + length)
            last = next(beyond, -1)
            if last == -1:
                continue
            gt = np.linalg.inv(truth.poses[first]) @ truth.poses[last]
            found = np.linalg.inv(estimate.poses[first]) @ estimate.poses[last]
            error = np.linalg.inv(found) @ gt
            t.append(np.linalg.norm(error[:3, 3]) / length)
            r.append(np.arccos(np.clip((np.trace(error[:3, :3]) - 1) / 2, -1, 1)) / length)
    translation, rotation = segment_errors(estimate.poses, truth.poses)
    assert len(translation) == len(t)
    assert translation.mean() == pytest.approx(np.mean(t), rel=1e-9)
    assert rotation.mean() == pytest.approx(np.mean(r), rel=1e-9)


def test_figures_do_not_depend_on_where_the_worlds_are():
    truth, estimate = winding(), disturbed(winding())
    here = asdict(evaluate(estimate, truth))
    there = asdict(evaluate(moved(estimate, SOMEWHERE), moved(truth, np.linalg.inv(SOMEWHERE))))
    assert here.pop("alignment") == there.pop("alignment")
    assert there == pytest.approx(here, rel=1e-6)


@pytest.mark.parametrize("alignment, scale", [("se3", 1.0), ("sim3", 0.02), ("scale", 7.0)])
def test_alignment_undoes_what_it_is_named_after(alignment, scale):
    figures = evaluate(moved(winding(), SOMEWHERE, scale), winding(), alignment)
    assert figures.ate_m == pytest.approx(0, abs=1e-6)
    assert figures.t_err_percent == pytest.approx(0, abs=1e-6)
    assert figures.alignment == alignment


def test_rigid_alignment_leaves_t_err_and_lowers_ate():
    truth, estimate = winding(), disturbed(winding())
    none, se3 = (evaluate(estimate, truth, a) for a in ("none", "se3"))
    assert se3.t_err_percent == pytest.approx(none.t_err_percent)
    assert se3.ate_m < none.ate_m


def test_path_under_100_m_has_no_t_err():
    figures = evaluate(straight(99), straight(99))
    assert figures.t_err_percent is None and figures.r_err_deg_per_100m is None
    assert figures.ate_m == pytest.approx(0)


def test_single_pose_has_no_figures():
    figures = evaluate(straight(0), straight(0))
    assert figures.frames == 1
    assert figures.ate_m is None and figures.rpe_translation_m is None


@pytest.mark.parametrize("alignment", ["se3", "sim3"])
def test_standing_estimate_cannot_be_aligned(alignment):
    figures = evaluate(straight(200, 0.0), straight(200), alignment)
    assert (figures.t_err_percent, figures.ate_m, figures.rpe_translation_m) == (None, None, None)


def test_skipped_frames_keep_their_stamps():
    truth = winding()
    kept = np.flatnonzero(np.arange(len(truth)) % 7 != 3)[2:]
    estimate = Trajectory(truth.stamps_ns[kept], truth.positions[kept], truth.quaternions[kept])
    figures = evaluate(estimate, truth)
    assert figures.frames == len(kept)
    assert figures.ate_m == pytest.approx(0, abs=1e-9)
    assert figures.t_err_percent == pytest.approx(0, abs=1e-9)


def test_segments_start_at_every_tenth_frame_even_if_the_first_were_skipped():
    truth, estimate = winding(), disturbed(winding())
    late = Trajectory(*(a[3:] for a in (estimate.stamps_ns, estimate.positions,
                                        estimate.quaternions)))
    poses = estimate.poses.copy()
    poses[:3] = np.nan
    translation, _ = segment_errors(poses, truth.poses)
    assert evaluate(late, truth).t_err_percent == pytest.approx(100 * translation.mean())


def test_truth_ten_times_as_fast_gives_the_same_segments():
    truth, estimate = winding(), disturbed(winding())
    at = np.arange(10 * len(truth) - 9) / 10
    low = np.minimum(at.astype(int), len(truth) - 2)
    steps = geometry.to_motion(geometry.inverse(truth.poses[:-1]) @ truth.poses[1:])
    dense = truth.poses[low] @ geometry.from_motion(steps[low] * (at - low)[:, None])
    fast = Trajectory.from_poses(np.arange(len(dense)) * PERIOD_NS // 10, dense)
    slow, figures = evaluate(estimate, truth), evaluate(estimate, fast)
    assert figures.t_err_percent == pytest.approx(slow.t_err_percent, rel=1e-6)
    assert figures.frames == slow.frames


def test_each_truth_belongs_to_its_nearest_estimate():
    ms = 1_000_000
    mine, its = associate(np.array([0, 95, 130, 500]) * ms, np.array([0, 100, 300, 515]) * ms)
    assert mine.tolist() == [0, 1, 3] and its.tolist() == [0, 1, 3]


def test_recordings_of_another_time_are_refused():
    late = winding()
    late = Trajectory(late.stamps_ns + 10**15, late.positions, late.quaternions)
    with pytest.raises(InputError, match="no time stamp in common"):
        evaluate(late, winding())


def test_unknown_alignment_lists_the_known():
    with pytest.raises(InputError, match=", ".join(ALIGNMENTS)):
        evaluate(winding(), winding(), "7dof")


# Published by Zhan et al. (DF-VO, ICRA 2020) with kitti-odom-eval: t_err %, r_err deg/100 m, ATE m.
PUBLISHED = [
    ("df-vo-mono", "09", "sim3", "2.47", "0.30", "11.02"),
    ("df-vo-mono", "10", "sim3", "1.96", "0.31", "3.37"),
    ("orb-slam2-without-lc", "09", "sim3", "9.30", "0.26", "38.77"),
    ("orb-slam2-without-lc", "10", "sim3", "2.57", "0.32", "5.42"),
    ("viso2", "09", "sim3", "3.69", "1.25", None),
    ("viso2", "10", "sim3", "21.01", "3.26", None),
    ("df-vo-stereo", "09", "se3", "2.61", "0.29", "10.88"),
    ("df-vo-stereo", "10", "se3", "2.29", "0.37", "3.72"),
]


@pytest.mark.skipif("KITTI_ROOT" not in os.environ, reason="KITTI_ROOT is not set")
@pytest.mark.parametrize("peer, sequence, alignment, t_err, r_err, ate", PUBLISHED)
def test_published_figures_to_the_last_digit(peer, sequence, alignment, t_err, r_err, ate):
    root = Path(os.environ["KITTI_ROOT"])
    estimate = root / "peers" / peer / f"{sequence}.txt"
    if not estimate.is_file():
        pytest.skip(f"KITTI_ROOT has no peers/{peer}/{sequence}.txt")
    figures = evaluate(read(estimate), read(root / "poses" / f"{sequence}.txt"), alignment)
    assert f"{figures.t_err_percent:.2f}" == t_err
    assert f"{figures.r_err_deg_per_100m:.2f}" == r_err
    if ate:
        assert f"{figures.ate_m:.2f}" == ate
