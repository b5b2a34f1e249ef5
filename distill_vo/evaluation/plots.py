"""The picture of a path seen from above: the estimate and, where it is known, the truth.

Trajectories are of a base in ROS axes (x forward, y left), metres; the picture has forward up.
"""

from pathlib import Path

import numpy as np

from distill_vo import geometry
from distill_vo.evaluation.metrics import align, associate, in_order
from distill_vo.trajectory import Trajectory, whole_file

ESTIMATE, TRUTH, GRID = "#d1495b", "#3d405b", "#e3e3e3"


def draw_path(path: str | Path, estimate: Trajectory, truth: Trajectory | None,
              figures: dict) -> None:
    """Write a PNG, whole or not at all. figures give the alignment and the numbers in the title."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(7, 7), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for poses, label, style in _paths(estimate, truth, figures["alignment"]):
        axes.plot(-poses[:, 1, 3], poses[:, 0, 3], label=label, **style)
    axes.plot(0, 0, "o", color="white", markeredgecolor="black", markersize=7, label="start",
              zorder=5)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)
    axes.set_xlabel("to the right of the start (m)")
    axes.set_ylabel("ahead of the start (m)")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, loc="best")
    axes.set_title(_title(figures), loc="left", fontsize=10)
    with whole_file(path) as file:
        FigureCanvasAgg(figure).print_png(file)


def _paths(estimate: Trajectory, truth: Trajectory | None, alignment: str):
    """(poses (N, 4, 4), label, style), in the axes of the first pose they have in common."""
    estimate_style = {"color": ESTIMATE, "linewidth": 1.8, "zorder": 4}
    estimate = in_order(estimate)
    mine = its = np.empty(0, int)
    if truth is not None:
        truth = in_order(truth)
        mine, its = associate(estimate.stamps_ns, truth.stamps_ns)
    if len(mine) == 0:
        return [(geometry.inverse(estimate.poses[0]) @ estimate.poses, "estimate", estimate_style)]
    poses = geometry.inverse(estimate.poses[mine[0]]) @ estimate.poses[mine]
    reference = geometry.inverse(truth.poses[its[0]]) @ truth.poses[its[0]: its[-1] + 1]
    aligned = align(poses, reference[its - its[0]], alignment)
    note = "" if alignment == "none" or aligned is None else f" ({alignment} aligned)"
    return [(reference, "truth", {"color": TRUTH, "linewidth": 3.2, "alpha": 0.55}),
            (poses if aligned is None else aligned, f"estimate{note}", estimate_style)]


def _title(figures: dict) -> str:
    name = " by ".join(str(figures[k]) for k in ("source", "student") if figures.get(k))
    parts = [f"{figures.get('truth_length_m') or figures['path_length_m']:.0f} m"]
    for key, form in (("t_err_percent", "t_err {:.2f} %"),
                      ("r_err_deg_per_100m", "r_err {:.2f} deg/100 m"),
                      ("ate_m", "ATE {:.2f} m")):
        if figures.get(key) is not None:
            parts.append(form.format(figures[key]))
    return "\n".join(line for line in (name, ", ".join(parts)) if line)
