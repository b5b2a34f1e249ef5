"""Draw networks side by side: their trajectories against the truth, and how their errors are spread.

  python -m training compare runs/teacher/teacher.safetensors runs/flow-s/flow-s.safetensors \\
      --cache cache/validation --out docs/results/compare

Writes trajectories.png (drives seen from above, nothing aligned) and errors.png (cumulative distributions of
translation and rotation errors a frame), and prints the figures of each network: without the geometry that
refines a student's motion, on drives levelled by their true way.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.frontend import FRONT_ENDS
from distill_vo.student import load_network
from training.data.cache import PairCache
from training.validate import chain, forward_drives, frame_errors, motions_by, validate

SHOWN = 6  # drives drawn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("networks", nargs="+", type=Path, metavar="NETWORK",
                        help="files of teachers or students")
    parser.add_argument("--cache", type=Path, required=True, help="pairs to drive along")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")


def run(args: argparse.Namespace) -> None:
    matplotlib.use("Agg")
    if len({path.stem for path in args.networks}) < len(args.networks):
        raise InputError(f"{' and '.join(map(str, args.networks))}: two have the same name, by which they "
                         "are shown; copy one to a file of another name.")
    networks = {path.stem: load_network(path)[0] for path in args.networks}
    front_ends = {FRONT_ENDS[network.settings.front_end].networks_see for network in networks.values()}
    if len(front_ends) > 1:
        raise InputError(f"{' and '.join(map(str, args.networks))}: see {' and '.join(sorted(front_ends))}; "
                         "compare networks of one front end.")
    cache = PairCache.open(args.cache, front_ends.pop())
    args.out.mkdir(parents=True, exist_ok=True)
    drives = list(forward_drives(cache))
    truth = [geometry.from_motion(drive.motions) for drive in drives]
    motions = {name: [geometry.from_motion(motions_by(network, "cpu")(drive)) for drive in drives]
               for name, network in networks.items()}
    draw_trajectories(args.out / "trajectories.png", truth, motions)
    draw_errors(args.out / "errors.png", truth, motions)
    for name, network in networks.items():
        figures = validate(motions_by(network, "cpu"), cache)
        print(name, {key: round(value, 4) for key, value in figures.items()})


def draw_trajectories(path: Path, truth: list[np.ndarray], motions: dict[str, list[np.ndarray]]) -> None:
    """Drives from above: motions (N, 4, 4) of each are chained from the origin."""
    count = min(SHOWN, len(truth))
    figure, axes = plt.subplots(1, count, figsize=(3.4 * count, 3.6), layout="constrained", squeeze=False)
    for k, axis in enumerate(axes[0]):
        for name, drives in {"truth": truth, **motions}.items():
            poses = chain(drives[k])
            style = {"color": "0.6", "linewidth": 4} if name == "truth" else {"linewidth": 1.3}
            axis.plot(poses[:, 0, 3], poses[:, 2, 3], label=name, **style)
        axis.set(aspect="equal", xlabel="right (m)", ylabel="ahead (m)")
        axis.set_adjustable("datalim")
    axes[0, 0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_errors(path: Path, truth: list[np.ndarray], motions: dict[str, list[np.ndarray]]) -> None:
    """Share of frames whose error is below a value."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for name, drives in motions.items():
        errors = frame_errors(np.concatenate(truth), np.concatenate(drives))
        share = (np.arange(len(errors)) + 1) / len(errors)
        left.plot(np.sort(np.linalg.norm(errors[:, :3], axis=1)), share, label=name)
        right.plot(np.sort(np.degrees(np.linalg.norm(errors[:, 3:], axis=1))), share, label=name)
    for axis, unit in ((left, "translation error a frame (m)"), (right, "rotation error a frame (deg)")):
        axis.set(xscale="log", xlabel=unit, ylabel="share of frames")
        axis.grid(alpha=0.3)
    left.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
