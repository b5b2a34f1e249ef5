"""Pairs of frames: chained motions are the drive, whichever way and at whichever stride it is run."""

from dataclasses import replace

import numpy as np
import pytest

from distill_vo import geometry
from distill_vo.camera import CANONICAL
from training.data.drives import TrueFrame
from training.data.pairs import pair_up

STRIDES = [1, -1, 2, -3]


def drive(numbers) -> list[TrueFrame]:
    """A winding drive; a frame's image is its number."""
    steps = np.random.default_rng(0).normal([0, 0, 1, 0, 0, 0], 0.1, (max(numbers) + 1, 6))
    pose, poses = np.eye(4), []
    for step in steps:
        poses.append(pose)
        pose = pose @ geometry.from_motion(step)
    return [TrueFrame(n, n, poses[n]) for n in numbers]


def chains(frames, stride: int, camera=CANONICAL) -> list[list]:
    """The chains of pairs of one stride, in the order of time."""
    out = []
    for pair in pair_up(camera, frames, STRIDES):
        if pair.stride == stride:
            if not pair.chained:
                out.append([])
            out[-1].append(pair)
    return out


def chained(motions) -> np.ndarray:
    pose = np.eye(4)
    for motion in motions:
        pose = pose @ geometry.from_motion(motion)
    return pose


@pytest.mark.parametrize("stride", [1, 2])
def test_chained_motions_are_the_drives_poses(stride):
    frames = drive(range(11))
    chain, = chains(frames, stride)
    assert [p.second.number for p in chain] == list(range(stride, 11, stride))
    for count in range(1, len(chain) + 1):
        pose = chained(pair.motion for pair in chain[:count])
        np.testing.assert_allclose(pose, frames[count * stride].pose, atol=1e-12)


def test_a_pair_run_backwards_has_the_inverse_motion_and_its_frames_swapped():
    frames = drive(range(8))
    for there, back in zip(*chains(frames, 1), *chains(frames, -1), strict=True):
        assert (back.first, back.second) == (there.second, there.first)
        np.testing.assert_allclose(chained([there.motion, back.motion]), np.eye(4), atol=1e-12)


def test_two_short_steps_are_one_long_one():
    frames = drive(range(9))
    (single,), (double,) = chains(frames, 1), chains(frames, 2)
    for k, pair in enumerate(double):
        two = chained(p.motion for p in single[2 * k:2 * k + 2])
        np.testing.assert_allclose(geometry.from_motion(pair.motion), two, atol=1e-12)


def test_no_pair_bridges_a_missing_frame():
    frames = drive([0, 1, 2, 4, 5, 9])
    for stride in STRIDES:
        for chain in chains(frames, stride):
            for before, after in zip(chain, chain[1:], strict=False):
                shared = (before.second, after.first) if stride > 0 else (before.first, after.second)
                assert shared[0] is shared[1]
            assert all(p.second.number - p.first.number == stride for p in chain)
    numbers = [[(p.first.number, p.second.number) for p in chain] for chain in chains(frames, 1)]
    assert numbers == [[(0, 1), (1, 2)], [(4, 5)]]
    # Frame 3 is missing, but from 2 to 4 nothing is.
    assert [[p.second.number for p in chain] for chain in chains(frames, 2)] == [[2, 4]]


def test_a_camera_half_as_high_moved_half_as_far():
    frames = drive(range(4))
    low = replace(CANONICAL, mount_height_m=CANONICAL.mount_height_m / 2)
    for seen, true in zip(chains(frames, 1, low)[0], chains(frames, 1)[0], strict=True):
        np.testing.assert_allclose(seen.motion, true.motion * [2, 2, 2, 1, 1, 1], rtol=1e-12)


def test_a_frame_that_is_there_twice_is_taken_once():
    frames = drive([0, 1, 1, 2])
    assert len(chains(frames, 1)) == 1
    assert len(chains(frames, 1)[0]) == 2
