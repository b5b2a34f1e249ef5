"""The results of one run: trajectory.tum, trajectory.kitti, path.png, figures.json and a table.

trajectory.tum holds poses of the base in odom (ROS axes); trajectory.kitti holds, as KITTI's own
pose files do, poses of the camera in the first camera's optical axes. Figures against the truth are
of the camera's poses too, so they compare with published ones.
"""

import json
import logging
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.evaluation.metrics import Figures, evaluate
from distill_vo.evaluation.plots import draw_path
from distill_vo.sources.source import level_mounting
from distill_vo.trajectory import Trajectory, write_kitti, write_tum, write_whole

ROWS = (
    ("frames", "frames", "{:d}"),
    ("seconds", "seconds", "{:.2f}"),
    ("frames per second", "frames_per_second", "{:.1f}"),
    ("camera height (m)", "camera_height_m", "{:.2f}"),
    ("path length (m)", "path_length_m", "{:.1f}"),
    ("truth's path length (m)", "truth_length_m", "{:.1f}"),
    ("t_err (%)", "t_err_percent", "{:.2f}"),
    ("r_err (deg/100 m)", "r_err_deg_per_100m", "{:.2f}"),
    ("ATE (m)", "ate_m", "{:.2f}"),
    ("RPE (m/frame)", "rpe_translation_m", "{:.3f}"),
    ("RPE (deg/frame)", "rpe_rotation_deg", "{:.3f}"),
    ("alignment", "alignment", "{}"),
)

log = logging.getLogger(__name__)


def write_results(out_dir: str | Path, trajectory: Trajectory, truth: Trajectory | None,
                  base_T_camera: np.ndarray, info: dict | None = None,
                  alignment: str = "none") -> dict:
    """Write everything about a run to a folder and return its figures (what figures.json holds).

    trajectory and truth are of the base; info (source, student, seconds, ...) goes into the
    figures. The trajectory is on disk before anything else is tried. A truth that has no moment in
    common with it is logged and left out. Raises InputError if the folder cannot be written.
    """
    camera = as_camera(trajectory, base_T_camera)
    with _writing(out_dir):
        write_tum(Path(out_dir) / "trajectory.tum", trajectory)
        write_kitti(Path(out_dir) / "trajectory.kitti", camera)
    try:
        camera_truth = None if truth is None else as_camera(truth, base_T_camera)
        figures = summary(camera, camera_truth, info, alignment)
    except InputError as error:
        log.error("no figures against the truth: %s", error)
        figures, truth = summary(camera, None, info, alignment), None
    write_figures(out_dir, figures, trajectory, truth)
    return figures


def write_figures(out_dir: str | Path, figures: dict, trajectory: Trajectory,
                  truth: Trajectory | None) -> None:
    """Write figures.json and path.png; the trajectories are of the base. Raises InputError."""
    with _writing(out_dir):
        write_whole(Path(out_dir) / "figures.json", json.dumps(figures, indent=2) + "\n")
        draw_path(Path(out_dir) / "path.png", trajectory, truth, figures)


def summary(estimate: Trajectory, truth: Trajectory | None, info: dict | None = None,
            alignment: str = "none") -> dict:
    """The figures of a run as plain JSON values; None where something cannot be computed.

    Raises InputError where estimate and truth have no moment in common.
    """
    if truth is None:
        measured = asdict(Figures(0, estimate.path_length_m, alignment=alignment))
    else:
        measured = asdict(evaluate(estimate, truth, alignment))
    seconds = (info or {}).get("seconds")
    figures = {
        **(info or {}),
        "frames": len(estimate),
        "frames_with_truth": measured.pop("frames"),
        "seconds": seconds,
        "frames_per_second": len(estimate) / seconds if seconds else None,
        **measured,
    }
    # JSON has no NaN and no infinity; they would come from an estimate that is none.
    return {key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in figures.items()}


def table(figures: dict) -> str:
    """The figures as aligned lines of text; a dash where one is None."""
    width = max(len(title) for title, _, _ in ROWS)
    lines = []
    for title, key, form in ROWS:
        value = figures.get(key)
        lines.append(f"{title:<{width}}  {'-' if value is None else form.format(value)}")
    return "\n".join(lines)


def as_camera(trajectory: Trajectory, base_T_camera: np.ndarray) -> Trajectory:
    """Poses of the base -> poses of the camera, in the camera's axes on a base at the origin."""
    poses = geometry.inverse(base_T_camera) @ trajectory.poses @ base_T_camera
    return Trajectory.from_poses(trajectory.stamps_ns, poses, trajectory.oriented)


def as_base(camera: Trajectory) -> Trajectory:
    """Poses of a camera, level and looking forward, -> poses in ROS axes, for pictures."""
    T = level_mounting(0.0)
    return Trajectory.from_poses(camera.stamps_ns, T @ camera.poses @ geometry.inverse(T))


@contextmanager
def _writing(out_dir: str | Path):
    try:
        yield
    except OSError as error:
        raise InputError(f"{out_dir}: results cannot be written ({error.strerror}); check the "
                         "space and permissions, or give another folder with --out.") from error
