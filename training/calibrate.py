"""Measure the scale of a student's way, how it falls short while a car speeds up, how its errors grow with
turns and hang together, and store them in its file.

  python -m training calibrate runs/flow-s/flow-s.safetensors --validation cache/calibration

Rewrites the file (its weights stay), and the digest in the run.json beside it. Its card is made afterwards.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.inertia import AHEAD, Inertia
from distill_vo.networks import MOTION, YAW
from distill_vo.student import (
    MOST_SQUAT,
    MOST_TURNING,
    WAY_SCALES,
    Student,
    StudentSettings,
    in_turns,
    load_network,
    save,
)
from distill_vo.trajectory import write_whole
from distill_vo.uncertainty import ErrorModel
from training.data.cache import PairCache
from training.validate import forward_drives, in_line, refined_by

# Motions over which an error is forgotten: at once, over a bump, over a bend, never within a drive.
LENGTHS = (0.0, 3.0, 30.0, 1000.0)
SPANS = (1, 2, 3, 5, 10, 20, 40, 80, 160, 320)  # motions over which errors are added up
# One sigma of how well a robot knows its camera: its height, each axis of its mounting, its focal length (for
# KITTI's one camera it was found as 707, 719 and 722 pixels on different days). Streets know all of it.
HEIGHT_ERROR, MOUNTING_ERROR_RAD, FOCAL_ERROR = 0.03, np.radians(0.3), 0.01
# One sigma of how well a drive's view is levelled, down and to the right. `nees` finds two thirds of it on
# rendered drives; it stays, for on real roads a student is too sure as it is.
LEVEL_ERROR_RAD = np.radians([0.21, 0.22])
FAST = 3.0  # m/s; above it the way is told to a few percent
MOST_OFF = 0.2  # share of the way; what is farther off is something else's doing
TURNING_STEPS = 5
LARGEST = 8.0  # sigma: a few motions on which everything fails must not blur all others


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("student", type=Path, help="a student's .safetensors, or a teacher's")
    parser.add_argument("--validation", type=Path, required=True, nargs="+",
                        help="caches of drives that it was not trained on")


def run(args: argparse.Namespace) -> None:
    network, settings, old = load_network(args.student)
    student = Student(network, settings, args.student.stem)
    caches = [PairCache.open(path, student.settings.network.front_end) for path in args.validation]
    settings = calibrated(student, caches)
    digest = save(args.student, network, settings)
    story = args.student.with_name("run.json")
    if story.exists():
        write_whole(story, story.read_text().replace(old, digest))
    print(f"{args.student}: {digest}, way_scale {settings.way_scale:.4f}, squat "
          f"{settings.squat:.4f}, turning {settings.turning}, {settings.errors}")


class Said(NamedTuple):
    """Of consecutive pairs of a drive (N, 6): what a student says, and what is true."""

    motions: np.ndarray
    sigmas: np.ndarray
    truth: np.ndarray
    seconds: float  # between the two frames of a pair


def calibrated(student: Student, caches: list[PairCache]) -> StudentSettings:
    """Its settings with squat, turning, the scale of the way and the errors that are left then, as on these
    drives.

    The scale is the median over the drives: it is wrong by the drive, and on a few the student fails. For the
    errors each drive counts four times, with its view off level to either side, and with the camera's height
    and focal length told too large and too small and its mounting turned.
    """
    settings = replace(student.settings, way_scale=1.0, turning=(0.0,) * MOTION)
    plain = Student(student.network, settings, student.name, device=student.device)

    def said(sigmas_off_level: float) -> list[Said]:
        off = tuple(sigmas_off_level * LEVEL_ERROR_RAD)
        return [Said(*refined_by(plain, drive.inputs), drive.motions, drive.seconds)
                for cache in caches for drive in forward_drives(cache, off)]

    level = said(0)
    off_level = level if plain.front_end.looks_down is None else said(1) + said(-1)
    if not all(np.isfinite([drive.motions, drive.sigmas]).all() for drive in level + off_level):
        raise InputError(f"{student.name}: does not make finite motions on these drives; train it anew.")
    squat, turning = squat_of(level), turning_of(level)

    def driven(drives: list[Said]) -> list[Said]:
        return [Said(*in_line(motions, in_turns(motions, sigmas, turning), Inertia(squat=squat), seconds),
                     truth, seconds) for motions, sigmas, truth, seconds in drives]

    scales = [_length(drive.truth) / _length(drive.motions) for drive in driven(level)
              if _length(drive.motions)]
    scale = float(np.clip(np.median(scales or [1.0]), *WAY_SCALES))
    errors = error_model([(mistaken(drive.motions, scale, sign) - drive.truth)
                          / mistaken(drive.sigmas, scale, 0) for drive in driven(off_level)
                          for sign in (1, -1)])
    return replace(settings, way_scale=scale, squat=squat, turning=tuple(map(float, turning)), errors=errors)


def squat_of(drives: list[Said]) -> float:
    """Share by which ways are said too short for each m/s^2, least squares over drives, each against its own
    median."""
    shares, accelerations = [np.zeros(0)], [np.zeros(0)]
    for said, _, truth, seconds in drives:
        fast = truth[:, AHEAD] > FAST * seconds
        if fast.sum() < 2:
            continue
        share = said[fast, AHEAD] / truth[fast, AHEAD]
        shares.append(np.clip(share / np.median(share) - 1, -MOST_OFF, MOST_OFF))
        accelerations.append(np.gradient(truth[:, AHEAD])[fast] / seconds**2)
    share, acceleration = np.concatenate(shares), np.concatenate(accelerations)
    return float(np.clip(-share @ acceleration / max(acceleration @ acceleration, 1e-9), 0, MOST_SQUAT))


def turning_of(drives: list[Said]) -> np.ndarray:
    """(6,) as in StudentSettings.

    Non-negative least squares of squared errors, each in units of the sigma that was found before.
    """
    motions, sigmas, truth = map(np.concatenate, list(zip(*drives, strict=True))[:3])
    turning = np.zeros(MOTION)
    for _ in range(TURNING_STEPS):
        grown = in_turns(motions, sigmas, turning)
        squared = np.clip((motions - truth) / grown, -LARGEST, LARGEST)**2
        share = (sigmas / grown)**2
        by_yaw = share * motions[:, YAW:YAW + 1]**2
        found = [nnls(np.stack(columns[:2], axis=1), columns[2])[0]
                 for columns in zip(share.T, by_yaw.T, squared.T, strict=True)]
        always, growing = np.transpose(found)
        turning = np.clip(growing / np.maximum(always, 1e-9), 0, MOST_TURNING)
    return turning


def mistaken(motions: np.ndarray, scale: float, sigmas: float) -> np.ndarray:
    """Motions (N, 6) as told by who takes the camera for so many sigmas higher, turned and of longer focal
    length, times scale."""
    R = geometry.rotation_exp(np.full(3, sigmas * MOUNTING_ERROR_RAD))
    turned = (motions.reshape(-1, 2, 3) @ R.T).reshape(-1, 6)
    # Of a longer focal length the road seems farther and moves more, and turns seem smaller.
    longer, smaller = 1 + sigmas * np.hypot(HEIGHT_ERROR, FOCAL_ERROR), 1 - sigmas * FOCAL_ERROR
    return turned * np.array([scale * longer] * 3 + [smaller] * 3)


def _length(motions: np.ndarray) -> float:
    """Metres of a way of motions (N, 6)."""
    return float(np.linalg.norm(motions[:, :3], axis=1).sum())


def error_model(drives: list[np.ndarray]) -> ErrorModel:
    """The processes whose sums over SPANS motions vary as much as the drives' errors (N, 6) do.

    Non-negative least squares of the variances' ratios, so that long spans weigh as much as short ones.
    """
    sums = [np.cumsum(np.vstack([np.zeros(6), np.clip(d, -LARGEST, LARGEST)]), axis=0) for d in drives]
    spans = [n for n in SPANS if n < max(map(len, sums))]
    found = np.array([np.mean(np.concatenate([s[n:] - s[:-n] for s in sums])**2, axis=0) for n in spans])
    of_one = np.array([[_variance_of_sum(n, length) for length in LENGTHS] for n in spans])
    variances = [nnls(of_one / axis[:, None], np.ones(len(spans)))[0] for axis in found.T]
    return ErrorModel(LENGTHS, tuple(tuple(map(float, row)) for row in np.transpose(variances)))


def _variance_of_sum(count: int, length: float) -> float:
    """Of `count` successive values of a process of variance 1."""
    lags = np.arange(1, count)
    return count + 2 * float(((count - lags) * np.exp(-lags / length)).sum()) if length else float(count)
