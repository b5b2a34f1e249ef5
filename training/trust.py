"""Show how far a teacher can be trusted: Phi over a whole training set, its histogram, where it is low.

  python -m training trust config/flow-s.yaml --teacher runs/teacher/teacher.safetensors \\
      --cache cache/train --out runs/trust

Writes trust.json (eta, quantiles of e and Phi), histogram.png, map.png (Phi along the drives in which the
teacher errs most) and worst.png (what the front end saw of the pairs with the largest e).
"""

import argparse
import json
from pathlib import Path

import numpy as np

from distill_vo import geometry
from distill_vo import settings as typed
from distill_vo.frontend import FRONT_ENDS
from distill_vo.student import load_network
from distill_vo.trajectory import write_whole
from training import losses, objectives
from training.data.cache import PairCache
from training.distil import DistilSettings
from training.hints import TeacherOutputs, teacher_outputs
from training.results import provenance
from training.twins import levelled
from training.validate import chain, forward_tracks

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
SHOWN = 6  # drives on the map, pairs among the worst


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("settings", type=Path, help="of the student it is to teach, see config/flow-s.yaml")
    parser.add_argument("--teacher", type=Path, required=True, help="file that `teacher` wrote")
    parser.add_argument("--cache", type=Path, required=True, help="pairs it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="folder for figures and pictures")


def run(args: argparse.Namespace) -> None:
    settings = typed.load(DistilSettings, args.settings).objective
    cache = PairCache.open(args.cache, load_network(args.teacher)[1].network.front_end)
    teacher = teacher_outputs(args.teacher, cache, settings.rotation_weight, "cpu", settings.imitate)
    eta = objectives.set_trust(teacher, settings)
    content = provenance() | describe(teacher, eta)
    args.out.mkdir(parents=True, exist_ok=True)
    draw_histogram(args.out / "histogram.png", teacher, eta)
    draw_map(args.out / "map.png", teacher, cache)
    draw_worst(args.out / "worst.png", teacher, cache)
    write_whole(args.out / "trust.json", json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


def describe(teacher: TeacherOutputs, eta: float) -> dict:
    """eta, and how e and Phi are spread."""
    e, phi = teacher.error.numpy(), teacher.trust.numpy()
    return {
        "pairs": int(phi.size), "eta": eta, "eta_range": losses.eta_range(teacher.error),
        "trust_mean": float(phi.mean()), "trust_zero": float((phi == 0).mean()),
        "error_quantiles": {str(q): float(v) for q, v in zip(QUANTILES, np.quantile(e, QUANTILES),
                                                             strict=True)},
        "trust_quantiles": {str(q): float(v) for q, v in zip(QUANTILES, np.quantile(phi, QUANTILES),
                                                             strict=True)},
    }


def _figure(rows: int, columns: int, size: tuple[float, float]):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)


def draw_histogram(path: Path, teacher: TeacherOutputs, eta: float) -> None:
    figure, ((left, right),) = _figure(1, 2, (9, 3.2))
    left.hist(teacher.trust.numpy().ravel(), bins=50, range=(0, 1))
    left.set(xlabel="trust Phi", ylabel="pairs", yscale="log")
    e = teacher.error.numpy().ravel()
    right.hist(e, bins=np.geomspace(max(e.min(), 1e-7), e.max(), 60))
    right.axvline(eta, color="k", linestyle="--", label=f"eta = {eta:.3g}")
    right.set(xlabel="teacher loss e (m$^2$)", xscale="log")
    right.legend()
    figure.savefig(path, dpi=110)


def draw_map(path: Path, teacher: TeacherOutputs, cache: PairCache) -> None:
    """Drives seen from above, coloured by Phi: the ones with the lowest mean."""
    drives = [track.rows for track in forward_tracks(cache)]
    drives = sorted(drives, key=lambda rows: float(teacher.trust[0, rows].mean()))[:SHOWN]
    figure, axes = _figure(1, len(drives), (3 * len(drives), 3.2))
    for axis, rows in zip(axes[0], drives, strict=True):
        poses = chain(geometry.from_motion(cache.motions[rows]))[1:]
        points = axis.scatter(poses[:, 0, 3], poses[:, 2, 3], c=teacher.trust[0, rows], s=4, vmin=0, vmax=1,
                              cmap="viridis")
        axis.set(aspect="equal", xlabel="x (m)", ylabel="z (m)")
    figure.colorbar(points, ax=axes[0, -1], label="trust Phi")
    figure.savefig(path, dpi=110)


def draw_worst(path: Path, teacher: TeacherOutputs, cache: PairCache) -> None:
    """The front end's view of the pairs with the largest e, with what was said and what was true."""
    worst = np.argsort(-teacher.error[0].numpy())[:SHOWN]
    figure, axes = _figure(SHOWN, 2, (12, 2.6 * SHOWN))
    for (axis, road), row in zip(axes, worst, strict=True):
        seen = cache.inputs[row].astype(np.float32)
        if FRONT_ENDS[cache.front_end].is_flow:
            for grid, (u, v) in ((axis, seen[:2]), (road, seen[2:4])):
                grid.quiver(u, v, np.hypot(u, v), angles="xy", cmap="viridis")
                grid.invert_yaxis()
            road.set(xticks=[], yticks=[], title="the road from above")
        else:
            axis.imshow(seen[2::-1].transpose(1, 2, 0).astype(np.uint8))
            road.imshow(seen[5:2:-1].transpose(1, 2, 0).astype(np.uint8))
            road.set(xticks=[], yticks=[], title="the second frame")
        said, true = teacher.motions[0, row], levelled(cache, slice(row, row + 1))[1][0]
        axis.set_title(f"pair {row}: forward {said[2]:.2f} m (true {true[2]:.2f}), yaw "
                       f"{np.degrees(said[4]):.2f} deg (true {np.degrees(true[4]):.2f})", fontsize=9)
        axis.set(xticks=[], yticks=[], aspect="equal")
    figure.savefig(path, dpi=90)
