"""The paper's comparison: every objective, with and without hints, over seeds and rates.

  python -m training ablate --teacher runs/teacher/teacher.safetensors --cache cache/train \\
      --validation cache/validation --out runs/ablation --seeds 5

Each row is a run of `python -m training distil` in a folder of its own; rows that are finished are kept, so
the same command goes on where it was stopped, and one with other --rows, --seeds or --rates adds to it.
Writes ablation.csv (one line for each finished run), ablation.md (mean and 95 % interval over the seeds) and
ablation.png.
"""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
import yaml
from scipy import stats
from tqdm import tqdm

from distill_vo import settings as typed
from distill_vo.errors import InputError
from distill_vo.frontend import FRONT_ENDS
from distill_vo.networks import PoseRegressor, count_parameters
from distill_vo.student import load_network
from distill_vo.trajectory import write_whole
from training.arguments import positive
from training.data.cache import PairCache
from training.distil import DistilSettings
from training.results import commit
from training.validate import forward_tracks, motions_by, validate

# objective, hint, stages, eta: first each objective on its own, then hints, then both stages at once, then
# with the variant of eta that one outlier cannot stretch
ROWS = (
    ("student_only", "none", "two", "range"), ("soft_target", "none", "two", "range"),
    ("minimum", "none", "two", "range"), ("additional", "none", "two", "range"),
    ("upper_bound", "none", "two", "range"), ("probabilistic_laplace", "none", "two", "range"),
    ("probabilistic_gaussian", "none", "two", "range"), ("attentive", "none", "two", "range"),
    ("student_only", "ht", "two", "range"), ("student_only", "aht", "two", "range"),
    ("attentive", "ht", "two", "range"), ("attentive", "aht", "two", "range"),
    ("attentive", "aht", "joint", "range"), ("attentive", "none", "two", "quantile"),
    ("student_only", "aht", "two", "quantile"), ("attentive", "aht", "two", "quantile"),
    ("attentive", "aht", "joint", "quantile"),
)
COLUMNS = ("objective", "hint", "stages", "eta", "rate", "seed", "front_end", "rpe_t_m", "rpe_r_deg", "ate_m",
           "t_err_percent", "r_err_deg_per_100m", "hint_error", "trust", "parameters", "mb", "ms")
FIGURES = ("rpe_t_m", "rpe_r_deg", "ate_m", "t_err_percent", "r_err_deg_per_100m", "hint_error", "trust",
           "ms")
HOW = ("objective", "hint", "stages", "eta", "rate")  # in what rows differ besides their seed


@dataclass(frozen=True)
class Row:
    """One run of the comparison."""

    objective: str
    hint: str
    stages: str
    eta: str
    rate: float
    seed: int

    @property
    def folder(self) -> str:
        return "-".join(map(str, astuple(self)))

    @classmethod
    def of_folder(cls, name: str) -> "Row":
        *how, rate, seed = name.split("-")
        return cls(*how, float(rate), int(seed))


def label(objective: str, hint: str, stages: str, eta: str) -> str:
    """A way of learning in one word: attentive, aht+attentive, aht+attentive:joint, attentive:quantile."""
    return ((objective if hint in ("", "none") else f"{hint}+{objective}") + ":joint" * (stages == "joint")
            + ":quantile" * (eta == "quantile"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, default=Path("config/ablation.yaml"),
                        help="how every row is trained (default: %(default)s)")
    parser.add_argument("--teacher", type=Path, required=True, help="file that `teacher` wrote")
    parser.add_argument("--cache", type=Path, required=True, help="pairs to train on")
    parser.add_argument("--validation", type=Path, required=True, help="pairs of other drives")
    parser.add_argument("--out", type=Path, required=True, help="folder for rows and tables")
    parser.add_argument("--rows", nargs="+", choices=[label(*how) for how in ROWS], metavar="ROW",
                        help=f"{', '.join(label(*how) for how in ROWS)} (default: all)")
    parser.add_argument("--seeds", type=positive, default=5, help="runs of each row (default: %(default)s)")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.9295], metavar="D",
                        help="shares of the teacher's parameters to do without (default: 0.9295)")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count(), help="runs at a time")


def run(args: argparse.Namespace) -> None:
    base = typed.load(DistilSettings, args.settings)
    teacher, _, digest = load_network(args.teacher)
    cache = PairCache.open(args.cache, teacher.settings.front_end)
    validation = PairCache.open(args.validation, teacher.settings.front_end)
    rows = [Row(*how, rate, seed) for seed in range(args.seeds) for rate in args.rates for how in ROWS
            if args.rows is None or label(*how) in args.rows]
    data = f"# teacher {digest}\n# cache {cache.digest}\n# validation {validation.digest}\n"
    for file in (args.out / "rows").glob("*/student.yaml"):
        if not file.read_text().startswith(data):
            raise InputError(f"{file}: was begun with another teacher or other caches, with which no row "
                             "compares; give another --out or remove the folder.")
    with ThreadPoolExecutor(args.jobs) as pool, tqdm(total=len(rows), unit="run", disable=None) as bar:
        for _ in pool.map(lambda row: _train(row, base, data, args), rows):
            bar.update()
    table = [_teacher_line(args.teacher, teacher, validation)]
    table += [_line(row, args.out, teacher.settings.front_end) for row in finished(args.out)]
    _time(table, args)
    write_tables(args.out, table, header(cache, validation, base))


def finished(out: Path) -> list[Row]:
    """All runs in this folder that came to their end, in the order of ROWS, then rates and seeds."""
    rows = [Row.of_folder(file.parent.name) for file in (out / "rows").glob("*/run.json")]
    return sorted(rows, key=lambda row: (ROWS.index(astuple(row)[:4]), row.rate, row.seed))


def _folder(row: Row, out: Path) -> Path:
    return out / "rows" / row.folder


def _train(row: Row, base: DistilSettings, data: str, args: argparse.Namespace) -> None:
    """Run one row in a process of its own, on one core, unless it is finished; `data` says from what."""
    folder = _folder(row, args.out)
    settings = replace(
        base, rate=row.rate, network=None, training=replace(base.training, seed=row.seed),
        objective=replace(base.objective, objective=row.objective, hint=row.hint, stages=row.stages,
                          eta=row.eta))
    text = data + yaml.safe_dump(json.loads(json.dumps(asdict(settings))), sort_keys=False)
    file = folder / "student.yaml"
    if file.exists() and file.read_text() != text:
        raise InputError(f"{file}: was begun with other settings; give another --out or remove the folder.")
    if (folder / "run.json").exists():
        return
    write_whole(file, text)
    command = [sys.executable, "-m", "training", "distil", str(file), "--teacher", str(args.teacher),
               "--cache", str(args.cache), "--validation", str(args.validation), "--out", str(folder)]
    with open(folder / "log.txt", "a") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False,
                              env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        last = (folder / "log.txt").read_text().strip().splitlines()[-1]
        raise InputError(f"{folder / 'log.txt'}: the run failed ({last}); run the same command again.")


def _line(row: Row, out: Path, front_end: str) -> dict:
    story = json.loads((_folder(row, out) / "run.json").read_text())
    file = _folder(row, out) / "student.safetensors"
    return asdict(row) | {"front_end": front_end, **story["validation"], "parameters": story["parameters"],
                          "mb": file.stat().st_size / 1e6, "file": file}


def _teacher_line(file: Path, teacher: PoseRegressor, validation: PairCache) -> dict:
    return {"objective": "teacher", "hint": "", "stages": "", "eta": "", "rate": 0.0, "seed": 0,
            "front_end": teacher.settings.front_end, "hint_error": 0.0, "trust": None,
            "parameters": count_parameters(teacher), "mb": file.stat().st_size / 1e6, "file": file,
            **validate(motions_by(teacher, "cpu"), validation)}


@torch.inference_mode()
def _time(table: list[dict], args: argparse.Namespace, repeats: int = 50) -> None:
    """Milliseconds a frame of each shape of network in PyTorch, in turns on one core: so they compare."""
    torch.set_num_threads(1)
    files = {line["parameters"]: line["file"] for line in table}
    networks = {count: load_network(file)[0].eval() for count, file in files.items()}
    x = torch.zeros(1, 1, *FRONT_ENDS[table[0]["front_end"]].shape)
    taken: dict[int, list[float]] = {count: [] for count in networks}
    for _ in range(repeats):
        for count, network in networks.items():
            start = time.perf_counter()
            network(x)
            taken[count].append(1e3 * (time.perf_counter() - start))
    for line in table:
        line["ms"] = float(np.median(taken[line["parameters"]]))


def header(cache: PairCache, validation: PairCache, base: DistilSettings) -> str:
    """What the figures are figures of."""
    drives = len(forward_tracks(validation))
    return (f"Trained on {len(cache)} pairs ({cache.about['said']}), measured on {drives} other drives "
            f"({validation.about['said']}), run forwards at full rate, levelled. {base.training.epochs} "
            f"epochs (hint stage {base.hint_epochs}), batch {base.training.batch}. t_err, r_err and RPE "
            "(root mean square) without alignment; ATE after sim3 alignment of each drive. "
            f"Commit {commit()}, {date.today()}, `python -m training {' '.join(sys.argv[1:])}`.")


def write_tables(out: Path, table: list[dict], about: str) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(table)
    write_whole(out / "ablation.csv", text.getvalue())
    write_whole(out / "ablation.md", markdown(table, about))
    draw(out / "ablation.png", table)
    print(markdown(table, about))


def groups(table: list[dict]) -> dict[tuple, list[dict]]:
    """Lines that differ by their seed alone."""
    found: dict[tuple, list[dict]] = {}
    for line in table:
        found.setdefault(tuple(line[k] for k in HOW), []).append(line)
    return found


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half of its 95 % interval (Student's t) over the seeds; NaN where there are too few."""
    values = [v for v in values if v is not None]
    if len(values) < 2:
        return float(np.mean(values)) if values else float("nan"), float("nan")
    return float(np.mean(values)), float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def markdown(table: list[dict], about: str) -> str:
    titles = [*HOW, "seeds", "RPE m", "RPE deg", "ATE m", "t_err %",
              "r_err deg/100 m", "hint error", "mean Phi", "ms", "parameters", "MB"]
    lines = ["# Ablation", "", about, "", "| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for how, members in groups(table).items():
        cells = [str(v) for v in how] + [str(len(members))]
        for key in FIGURES:
            mean, half = interval([m[key] for m in members])
            cells.append(f"{mean:.4f}" if np.isnan(half) else f"{mean:.4f} ± {half:.4f}")
        cells += [f"{members[0]['parameters']:,}", f"{members[0]['mb']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(path: Path, table: list[dict]) -> None:
    """Accuracy against the rate of distillation, for each way of learning."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    ways: dict[str, list[tuple[float, list[dict]]]] = {}
    for (*how, rate), members in groups(table).items():
        ways.setdefault(label(*how), []).append((rate, members))
    for axis, key, unit in zip(axes, ("rpe_t_m", "rpe_r_deg"), ("m", "deg"), strict=True):
        axis.set_prop_cycle(color=plt.get_cmap("tab20").colors)
        for k, (name, points) in enumerate(ways.items()):
            if name == "teacher":
                axis.axhline(points[0][1][0][key], color="k", linestyle="--", label=name)
                continue
            rates = [rate + 0.001 * k for rate, _ in points]  # side by side, not on each other
            means, halves = zip(*(interval([m[key] for m in members]) for _, members in points), strict=True)
            axis.errorbar(rates, means, np.nan_to_num(halves), marker="o", capsize=3, label=name)
        axis.set(xlabel="rate of distillation d", ylabel=f"RMS RPE ({unit})")
    axes[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110)
