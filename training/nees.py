"""Are a student's covariances true? Its errors on unseen streets, squared and normalised by them (NEES).

  python -m training nees flow-s --out docs/results/nees.json

Of an error e with covariance C, e' C^-1 e follows a chi-square distribution of 6 degrees of freedom where C
is true: its mean over independent drives lies within the band 95 times out of 100. On each street height,
mounting and focal length of the camera are told a little wrong, as on a robot (training/calibrate.py). With
KITTI_ROOT set, the figures of the real recordings there are added as a check; nothing was fitted to them.
The rotations of GPS and IMU have errors as large as a student's; they are measured (training/truth.py), and
shares that allow for them are added.
Source: Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, 5.4.2.
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.stats import chi2
from tqdm import tqdm

from distill_vo import geometry
from distill_vo.camera import Camera
from distill_vo.odometry import Estimate, VisualOdometry
from distill_vo.sources import Source
from distill_vo.student import DEFAULT, Student
from distill_vo.trajectory import write_whole
from distill_vo.uncertainty import ErrorModel
from training.arguments import positive
from training.benchmark import sequences
from training.calibrate import FOCAL_ERROR, HEIGHT_ERROR, MOUNTING_ERROR_RAD
from training.data.cache import turn_of
from training.data.rehearsal import RehearsalSettings, render_sequence
from training.results import provenance
from training.truth import truth_sigma

STREETS = RehearsalSettings(seed=50_000, frames=400)  # a seed that nothing else uses
DIMENSIONS, LEVEL = 6, 0.95
SETTLED = 200  # frames after which a view is as level as it gets
SHOWN = (1, 10, 50, 100, 200, 399)  # frames after the start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("student", nargs="?", default=DEFAULT, help="name or file (default: %(default)s)")
    parser.add_argument("--drives", type=positive, default=24, help="default: %(default)s")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count(),
                        help="processes (default: all cores)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to be written")


def run(args: argparse.Namespace) -> None:
    student, root = Student.load(args.student, "cpu"), os.environ.get("KITTI_ROOT")
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        runs = list(tqdm(pool.map(drive, [args.student] * args.drives, range(args.drives)),
                         total=args.drives, desc="nees", unit="drive"))
    content = provenance() | {
        "student": student.name, "student_digest": student.digest, "drives": args.drives,
        "frames": STREETS.frames, "seed": STREETS.seed,
        "pose": figures(np.array([run["pose"] for run in runs])),
        "twist": figures(np.array([run["twist"] for run in runs]))
                 | shares(np.concatenate([run["inside"] for run in runs], axis=1)),
        "pose_were_errors_unrelated": figures(np.array([run["unrelated"] for run in runs])),
        "off_level_deg": rms_deg([run["off_level"] for run in runs]),  # down and to the right
    } | (real_check(student, Path(root)) if root else {})
    write_whole(args.out, json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


def drive(name: str, index: int) -> dict[str, np.ndarray]:
    """NEES of one street: pose and twist (frames - 1,), and of the pose if errors were unrelated.

    inside (2, frames - 1, 6): which twists are within one and two sigma. off_level (frames - SETTLED, 2): by
    how much the view looks too far down and to the right, rad.
    """
    student, street = Student.load(name, "cpu"), render_sequence(STREETS, index)
    off = np.random.default_rng(index).normal(size=5)  # what the robot knows of its camera is not exact
    height, mounting = street.camera_height * (1 + HEIGHT_ERROR * off[0]), np.eye(4)
    mounting[:3, :3] = geometry.rotation_exp(MOUNTING_ERROR_RAD * off[1:4])
    camera = Camera.from_projection(street.K, STREETS.width, STREETS.height, height)
    longer = 1 + FOCAL_ERROR * off[4]
    camera = replace(camera, fx=longer * camera.fx, fy=longer * camera.fy)
    odometry = VisualOdometry(student, camera, mounting)
    student.errors = ErrorModel(variances=(tuple(student.errors.total),))
    unrelated = VisualOdometry(student, camera, mounting)
    estimates, others, turns = zip(*(
        (odometry.track(f.stamp_ns, f.image), unrelated.track(f.stamp_ns, f.image), odometry.turn)
        for f in street), strict=True)
    level = turn_of(geometry.to_motion(geometry.inverse(street.poses[:-1]) @ street.poses[1:]))
    twists = twist_errors(estimates, street.poses)
    return {"pose": normalised(*pose_errors(estimates, street.poses)),
            "twist": normalised(*twists), "inside": inside(*twists),
            "unrelated": normalised(*pose_errors(others, street.poses)),
            "off_level": np.array(turns[SETTLED:]) - level}


def rms_deg(angles: list[np.ndarray]) -> list[float]:
    """Of drives' angles (N, 2), rad."""
    return np.degrees(np.sqrt((np.concatenate(angles)**2).mean(axis=0))).tolist()


def real_check(student: Student, root: Path) -> dict:
    """The figures of each recording, and the shares of all their twists.

    A recording is a single drive, so its mean may lie anywhere in a wide band.
    """
    found, plain, allowing = {}, [], []
    for source in sequences(root):
        estimates, truth = driven(student, source)
        twists = twist_errors(estimates, truth)
        plain.append(inside(*twists))
        truth_rad = truth_sigma(source, estimates, truth)
        allowing.append(inside(*twist_errors(estimates, truth, truth_rad)))
        found[source.name] = {
            "frames": len(truth), "pose": single(normalised(*pose_errors(estimates, truth))),
            "twist": single(normalised(*twists)) | shares(plain[-1]),
            "twist_allowing_for_truth": shares(allowing[-1]),
            "truth_sigma_deg": np.degrees(truth_rad).tolist()}
    return {"real_check": found, "real_check_all": {
        "twist": shares(np.concatenate(plain, axis=1)),
        "twist_allowing_for_truth": shares(np.concatenate(allowing, axis=1))}}


def driven(student: Student, source: Source) -> tuple[list[Estimate], np.ndarray]:
    """A student's estimates where the truth is known, and the truth (N, 4, 4)."""
    truth = dict(zip(source.truth.stamps_ns.tolist(), source.truth.poses, strict=True))
    odometry = VisualOdometry(student, source.camera, source.base_T_camera)
    estimates = [odometry.track(f.stamp_ns, f.image) for f in source if f.image is not None]
    estimates = [e for e in estimates if e is not None and e.stamp_ns in truth]
    return estimates, np.array([truth[e.stamp_ns] for e in estimates])


def pose_errors(estimates: list[Estimate], truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each pose after the first (N, 6) and covariances (N, 6, 6); truth (N, 4, 4) in any fixed world."""
    moved = estimates[0].pose @ geometry.inverse(truth[0]) @ truth
    errors = [np.r_[e.pose[:3, 3] - true[:3, 3], geometry.rotation_log(e.pose[:3, :3] @ true[:3, :3].T)]
              for e, true in zip(estimates, moved, strict=True)]
    return np.array(errors[1:]), np.array([e.pose_covariance for e in estimates[1:]])


def twist_errors(estimates: list[Estimate], truth: np.ndarray,
                 truth_rad: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Of each twist after the first, and covariances; the true one at an image is the mean of the motions to
    it and on from it, by the time they take, or at the last image of that to it.

    truth_rad: one sigma (3,), or of each axis, by which each of these motions' rotation is off itself.
    """
    seconds = np.diff([e.stamp_ns for e in estimates])[:, None] * 1e-9
    means = geometry.log(geometry.inverse(truth[:-1]) @ truth[1:]) / seconds
    twists = (means + np.r_[means[1:], means[-1:]]) / 2
    of_truth = np.diag([0, 0, 0, *np.broadcast_to(truth_rad, 3)])**2 / seconds[:, None]**2
    of_truth[:-1] /= 2  # of two motions the errors average out
    return (np.array([e.twist for e in estimates[1:]]) - twists,
            np.array([e.twist_covariance for e in estimates[1:]]) + of_truth)


def inside(errors: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Which errors (N, 6) are within one and within two sigma of their axis: (2, N, 6)."""
    sigmas = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    return np.abs(errors) < sigmas * np.array([1, 2])[:, None, None]


def shares(is_inside: np.ndarray) -> dict:
    """(2, N, 6) -> of each axis, and of all, the share within one and two sigma; of true ones 0.68, 0.95."""
    names = "share_within_1_sigma", "share_within_2_sigma"
    return {name: {"axes": which.mean(axis=0).tolist(), "all": float(which.mean())}
            for name, which in zip(names, is_inside, strict=True)}


def normalised(errors: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """e' C^-1 e: (N, 6) and (N, 6, 6) -> (N,)."""
    return np.einsum("ni,ni->n", errors, np.linalg.solve(covariances, errors[..., None])[..., 0])


def figures(nees: np.ndarray) -> dict:
    """Of NEES (drives, frames - 1): means over drives against their band, and single values."""
    freedom = DIMENSIONS * len(nees)
    low, high = (float(chi2.ppf(q, freedom) / len(nees)) for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    means = nees.mean(axis=0)
    return {
        "band_95": [low, high], "mean": float(nees.mean()),
        "mean_is_in_band": bool(low <= nees.mean() <= high),
        "share_of_frames_with_mean_in_band": float(((means >= low) & (means <= high)).mean()),
        "mean_at_frame": {k: float(means[k - 1]) for k in SHOWN},
        **single(nees), "median_of_each_drive": [float(v) for v in np.median(nees, axis=1)],
    }


def single(nees: np.ndarray) -> dict:
    """Of single values: a true covariance has median 5.3, and 95 of 100 below the 95 % quantile."""
    return {"median": float(np.median(nees)), "median_if_true": float(chi2.median(DIMENSIONS)),
            "share_below_95_quantile": float((nees < chi2.ppf(LEVEL, DIMENSIONS)).mean())}
