"""Measure a student and write its model card (Markdown and JSON) beside it.

Figures are of the validation streets of its training and, with KITTI_ROOT set, of every sequence there:
real roads that were never trained on, metric scale, no alignment.

  python -m training card runs/flow-s --validation cache/validation --out distill_vo/models \\
      --results docs/results
"""

import argparse
import json
import os
import shutil
from pathlib import Path

from distill_vo.sources import Source
from distill_vo.student import Student
from distill_vo.trajectory import whole_file, write_whole
from training.benchmark import cell, drive, sequences
from training.data.cache import PairCache
from training.results import provenance
from training.validate import said_by, validate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder that `distil` wrote")
    parser.add_argument("--validation", type=Path, required=True, help="cache of the validation drives")
    parser.add_argument("--out", type=Path, required=True, help="folder for student and card")
    parser.add_argument("--results", type=Path, required=True, help="folder for the paths it drove")


def run(args: argparse.Namespace) -> None:
    story = json.loads((args.run / "run.json").read_text())
    weights = args.run / f"{story['name']}.safetensors"
    student = Student.load(weights, "cpu")
    validation = PairCache.open(args.validation, student.settings.network.front_end)
    content = story | {
        "megabytes": weights.stat().st_size / 1e6,
        "rehearsal": validate(lambda drive: said_by(student, drive)[0], validation),
        "real": {source.name: drive(student, source, args.results / story["name"] / source.name)
                 for source in real_sequences()},
        "measured": provenance(),
    }
    with whole_file(args.out / weights.name) as file:
        shutil.copyfile(weights, file)
    write_whole(args.out / f"{story['name']}.json", json.dumps(content, indent=1) + "\n")
    write_whole(args.out / f"{story['name']}.md", card(content))
    print(card(content))


def real_sequences() -> list[Source]:
    """The recordings with truth under KITTI_ROOT; none where it is not set."""
    root = os.environ.get("KITTI_ROOT")
    if not root:
        print("KITTI_ROOT is not set: no figures of real roads.")
        return []
    return sequences(Path(root))


def card(content: dict) -> str:
    """The model card as Markdown."""
    lines = [
        f"# {content['name']}", "",
        f"A student of {content['parameters']:,} parameters ({content['megabytes']:.1f} MB): two frames of a "
        "calibrated forward camera in, metric motion and its standard deviation out.", "",
        f"- **Data**: {content['data']}", f"- **Trained by**: `{content['command']}` "
        f"(commit {content['commit']}, seed {content['seed']})",
        f"- **SHA-256 of settings and weights**: `{content['digest']}`",
        "- **Intended for**: road vehicles with a calibrated, forward-looking camera 1 to 3 m above a road; "
        "its true height gives the scale, and how it is mounted must be told.",
        "- **Known to fail**: darkness, a view filled by another moving vehicle, cameras that do not see the "
        "road.", "",
        f"Measured on {content['measured']['date']} ({content['measured']['machine']}; commit "
        f"{content['measured']['commit']}), "
        "metric scale, no alignment. Sequences with fewer frames than KITTI's are excerpts, not the "
        "benchmark; what is not named under Data was never learned from.", "",
        "| drive | frames | length m | t_err % | r_err deg/100 m | ATE m | RPE m | RPE deg |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, f in content["real"].items():
        cells = [f["frames"], *(cell(f[k], d) for k, d in (
            ("truth_length_m", 0), ("t_err_percent", 2), ("r_err_deg_per_100m", 2), ("ate_m", 2),
            ("rpe_translation_m", 3), ("rpe_rotation_deg", 3)))]
        lines.append(f"| KITTI {name} | " + " | ".join(map(str, cells)) + " |")
    f = content["rehearsal"]
    lines += ["", "On the rehearsal validation streets, levelled by the true way: "
              f"t_err {f['t_err_percent']:.2f} %, r_err {f['r_err_deg_per_100m']:.2f} deg/100 m, "
              f"RMS RPE {f['rpe_t_m']:.4f} m and "
              f"{f['rpe_r_deg']:.4f} deg a frame.", ""]
    return "\n".join(lines)

