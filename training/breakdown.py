"""Where a student is weak: its errors axis by axis, by speed, by yaw rate and by the kind of place.

  python -m training breakdown flow-s --streets config/rehearsal_validation.yaml \\
      --cache cache/validation --out docs/results

The cache is of these streets. Writes breakdown.json and breakdown.md.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from distill_vo import geometry
from distill_vo import settings as typed
from distill_vo.errors import InputError
from distill_vo.student import DEFAULT, Student
from distill_vo.trajectory import write_whole
from training.data.cache import PairCache
from training.data.drive import DT
from training.data.drives import RehearsalPlan
from training.data.rehearsal import render_sequence
from training.results import provenance
from training.validate import Seen, forward_drives, frame_errors, said_by

SPEEDS_M_S = (0, 1, 3, 6, 10, 15, 25, 40)
YAW_RATES_DEG_S = (0, 1, 3, 10, 30, 90)
AXES = ("x m", "y m", "z m", "pitch deg", "yaw deg", "roll deg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("student", nargs="?", default=DEFAULT, help="name or file (default: %(default)s)")
    parser.add_argument("--streets", type=Path, required=True, help="YAML file of rehearsal settings")
    parser.add_argument("--cache", type=Path, required=True, help="what `prepare` made of it")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")


def run(args: argparse.Namespace) -> None:
    student, plan = Student.load(args.student, "cpu"), typed.load(RehearsalPlan, args.streets)
    cache = PairCache.open(args.cache, student.settings.network.front_end)
    drives = list(forward_drives(cache))
    if len(drives) != plan.sequences or len(cache.about["drives"]) != plan.sequences:
        raise InputError(f"{args.cache}: holds {len(drives)} drives, {args.streets} has {plan.sequences}; "
                         "give the cache that was prepared from it.")
    kinds = [render_sequence(plan.settings, i).kind for i in range(plan.sequences)]
    content = provenance() | {"student": student.name, "student_digest": student.digest,
                              "data": cache.about["said"], "lines": lines(student, drives, kinds)}
    write_whole(args.out / "breakdown.json", json.dumps(content, indent=1) + "\n")
    write_whole(args.out / "breakdown.md", markdown(content))
    print(markdown(content))


def lines(student: Student, drives: list[Seen], kinds: list[str]) -> list[dict]:
    """A line for each bin that holds frames: how many, RMS error of each axis, and the scale."""
    truth = np.concatenate([drive.motions for drive in drives])
    said = np.concatenate([said_by(student, drive)[0] for drive in drives])
    kind = np.repeat(kinds, [len(drive.motions) for drive in drives])
    errors = frame_errors(geometry.from_motion(truth), geometry.from_motion(said))
    errors[:, 3:] = np.degrees(errors[:, 3:])
    speed = np.linalg.norm(truth[:, :3], axis=1) / DT
    yaw_rate = np.degrees(np.abs(truth[:, 4])) / DT
    bins = [(f"{low} to {high} m/s", (speed >= low) & (speed < high))
            for low, high in zip(SPEEDS_M_S, SPEEDS_M_S[1:], strict=False)]
    bins += [(f"{low} to {high} deg/s", (yaw_rate >= low) & (yaw_rate < high))
             for low, high in zip(YAW_RATES_DEG_S, YAW_RATES_DEG_S[1:], strict=False)]
    bins += [(name, kind == name) for name in sorted(set(kinds))]
    return [{"frames of": name, "frames": int(inside.sum()),
             "rms": np.sqrt((errors[inside] ** 2).mean(axis=0)).tolist(),
             "scale": float((said[inside, 2] @ truth[inside, 2]) / (truth[inside, 2] @ truth[inside, 2]))}
            for name, inside in bins if inside.any()]


def markdown(content: dict) -> str:
    """The lines as a table."""
    rows = [
        f"# Errors of {content['student']} by speed, yaw rate and place", "",
        f"`{content['command']}`, commit {content['commit']}, {content['date']}, {content['machine']}. "
        f"Rendered streets ({content['data']}) that it was not trained on, levelled by the true way. Root "
        "mean square error of a frame at 10 Hz in the camera's axes (x right, y down, z forward); scale: "
        "said way forward / true way.", "",
        "| frames of | frames | " + " | ".join(AXES) + " | scale |", "|---" * (len(AXES) + 3) + "|"]
    for line in content["lines"]:
        cells = [line["frames of"], str(line["frames"]), *(f"{v:.3f}" for v in line["rms"]),
                 f"{line['scale']:.3f}"]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"
