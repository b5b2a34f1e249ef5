"""All figures on real roads in one table: shipped students, a teacher, and published trajectories of others.

  python -m training benchmark KITTI_ROOT --teacher runs/teacher/teacher.safetensors --out docs/results

KITTI_ROOT holds sequences/NN with poses/NN.txt, or folders with images and their own poses_cam0.txt; and,
optionally, peers/NAME/NN.txt. Everything is measured without alignment, after scale alone, and after sim3
alignment of the whole path; rotations of the recordings also against those that their images show, for truth
from GPS and inertial sensors errs as well (training/truth.py). Writes benchmark.json and benchmark.md.
"""

import argparse
import json
import time
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch

from distill_vo import trajectory
from distill_vo.errors import InputError
from distill_vo.evaluation.report import as_camera, summary, write_results
from distill_vo.odometry import VisualOdometry
from distill_vo.sources import Source, open_source
from distill_vo.student import Student, load_network, student_names
from distill_vo.trajectory import Trajectory, write_whole
from training.results import provenance
from training.truth import true_and_seen

ALIGNMENTS = ("none", "scale", "sim3")
R_ERR = "r_err_deg_per_100m"
FIGURES = (("t_err_percent", 2), (R_ERR, 2), ("ate_m", 2))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", type=Path, metavar="KITTI_ROOT", help="folder in KITTI odometry layout")
    parser.add_argument("--teacher", type=Path, help="a teacher's file, to be driven like the students")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")


def run(args: argparse.Namespace) -> None:
    lines = []
    drivers = [partial(Student.load, name, "cpu") for name in student_names()]
    if args.teacher:
        drivers.append(partial(load_teacher, args.teacher))
    recordings = [(source, *(as_camera(way, source.base_T_camera) for way in true_and_seen(source)))
                  for source in sequences(args.root)]
    lines += [line("truth", source.name, truth, truth, seen) for source, truth, seen in recordings]
    for load in drivers:
        for source, truth, seen in recordings:
            student = load()
            folder = args.out / student.name / source.name
            drive(student, source, folder)
            estimate = as_camera(trajectory.read(folder / "trajectory.tum"), source.base_T_camera)
            lines.append(line(student.name, source.name, estimate, truth, seen))
    for file in sorted((args.root / "peers").glob("*/*.txt")):
        truth = args.root / "poses" / file.name
        if truth.exists():
            lines.append(line(file.parent.name, file.stem, trajectory.read(file), trajectory.read(truth)))
    rows = [list(group) for _, group in groupby(lines, key=itemgetter("name"))]
    content = provenance() | {"lines": [row for group in rows for row in group + together(group)]}
    write_whole(args.out / "benchmark.json", json.dumps(content, indent=1) + "\n")
    write_whole(args.out / "benchmark.md", markdown(content))
    print(markdown(content))


class DrivingTeacher(Student):
    """A teacher that drives as students do, and goes on from the state in which the last input left it."""

    _state = None  # at rest

    @torch.inference_mode()
    def said(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out = self.network(torch.from_numpy(x).to(self.device), self._state)
        self._state = out.state
        return out.in_numbers()


def load_teacher(path: Path) -> Student:
    """Of a teacher's file. Raises InputError."""
    network, settings, digest = load_network(path)
    return DrivingTeacher(network, settings, path.stem, digest)


def sequences(root: Path) -> list[Source]:
    """The recordings with known truth under `root`. Raises InputError where there are none."""
    found = [open_source(p) for p in sorted((root / "sequences").glob("*")) if p.is_dir()]
    found = [source for source in found if source.truth is not None]
    for file in interpolated(root):
        source = open_source(file.parent, truth=file)
        found.append(replace(source, truth=measured(source.truth)))
    if not found:
        raise InputError(f"{root}: holds no sequences/NN with poses/NN.txt; give a folder in KITTI odometry "
                         "layout.")
    return found


def interpolated(root: Path) -> list[Path]:
    """Files of truth that was interpolated from GPS and IMU, each in the folder of its recording."""
    return sorted(root.glob("*/poses_cam0.txt"))


def measured(truth: Trajectory) -> Trajectory:
    """Interpolated poses without those before the first measurement, where it is there again and again.

    No GPS and IMU measure the same twice, to the last digit.
    """
    is_new = (np.diff(truth.poses, axis=0) != 0).any(axis=(1, 2))
    if not is_new.any() or is_new[0]:
        return truth
    rows = slice(int(is_new.argmax()) + 1, None)
    return replace(truth, stamps_ns=truth.stamps_ns[rows], positions=truth.positions[rows],
                   quaternions=truth.quaternions[rows])


def drive(student: Student, source: Source, out: Path) -> dict:
    """Run a student over a recording, as `distill_vo run` does; its results to `out`, without alignment."""
    odometry = VisualOdometry(student, source.camera, source.base_T_camera)
    estimates, milliseconds = [], []
    for frame in source:
        if frame.image is None:
            continue
        start = time.perf_counter()
        estimates.append(odometry.track(frame.stamp_ns, frame.image))
        milliseconds.append(1e3 * (time.perf_counter() - start))
    estimates = [e for e in estimates if e is not None]
    driven = Trajectory.from_poses([e.stamp_ns for e in estimates], [e.pose for e in estimates])
    return write_results(out, driven, source.truth, source.base_T_camera, {
        "source": source.name, "student": student.name, "student_digest": student.digest,
        "seconds": sum(milliseconds) / 1e3, "ms_median": float(np.median(milliseconds)), **provenance()})


def line(who: str, sequence: str, estimate: Trajectory, truth: Trajectory,
         seen: Trajectory | None = None) -> dict:
    """One row: figures by alignment, of the camera's poses; and r_err against what its images show."""
    figures = {a: summary(estimate, truth, alignment=a) for a in ALIGNMENTS}
    first = figures["none"]
    return {"name": who, "sequence": sequence, "frames": first["frames_with_truth"],
            "length_m": first["truth_length_m"],
            "by_images": summary(estimate, seen)[R_ERR] if seen else None,
            **{a: {key: f[key] for key in ("segments", *dict(FIGURES))} for a, f in figures.items()}}


def together(rows: list[dict]) -> list[dict]:
    """A row for all sequences of one name: means over all their segments, as KITTI has them of its own.

    None where there is but one with segments.
    """
    measured = [row for row in rows if row["none"]["segments"]]
    if len(measured) < 2:
        return []
    whole = {"name": rows[0]["name"], "sequence": "+".join(row["sequence"] for row in measured),
             **{key: sum(row[key] for row in measured) for key in ("frames", "length_m")}}
    for alignment in ALIGNMENTS:
        parts = [row[alignment] for row in measured]
        segments = [part["segments"] for part in parts]
        whole[alignment] = {"segments": sum(segments), "ate_m": None} | {
            key: float(np.average([part[key] for part in parts], weights=segments))
            for key in ("t_err_percent", R_ERR)}
    seen = [row["by_images"] for row in measured]
    whole["by_images"] = None if None in seen else float(np.average(seen, weights=segments))
    return [whole]


def markdown(content: dict) -> str:
    """Grouped by alignment, which is what decides whether figures compare."""
    heads = [f"{a}: {figure}" for a in ALIGNMENTS for figure in ("t_err %", "r_err deg/100 m", "ATE m")]
    lines = [
        "# Benchmark", "",
        f"`{content['command']}`, commit {content['commit']}, {content['date']}, {content['machine']}.", "",
        "Students learned on rendered streets only. Sequences with fewer frames than KITTI's are excerpts, "
        "not the benchmark. Truth that was interpolated begins with its first measurement. t_err and r_err "
        "are over 100 to 800 m, of several sequences over all their segments; a dash: the path is shorter, "
        "or they are several. By images: r_err against the rotations that the five-point algorithm finds in "
        "them, for truth errs too (`training/truth.py`).", "",
        "| | sequence | frames | m | " + " | ".join(heads) + " | by images: r_err deg/100 m |",
        "|---" * (len(heads) + 5) + "|"]
    for row in content["lines"]:
        cells = [row["name"], row["sequence"], str(row["frames"]), f"{row['length_m']:.0f}"]
        cells += [cell(row[a][key], digits) for a in ALIGNMENTS for key, digits in FIGURES]
        cells.append(cell(row["by_images"], 2))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
