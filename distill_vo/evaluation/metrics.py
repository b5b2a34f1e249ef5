"""Figures of a trajectory against the truth: KITTI's t_err and r_err, ATE and RPE.

In come two trajectories of the same body (metres, unit quaternions, stamps in ns), out come
Figures. t_err and r_err follow the KITTI odometry devkit (Geiger, Lenz, Urtasun, CVPR 2012;
evaluate_odometry.cpp); alignment, ATE and RPE are evo's, with the conventions of kitti-odom-eval
(Zhan et al., ICRA 2020), so that figures compare with published tables.
"""

import logging
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.trajectory import Trajectory

LENGTHS_M = np.arange(100.0, 801.0, 100.0)
STEP = 10  # frames from the start of one segment to the next
ALIGNMENTS = ("none", "se3", "sim3", "scale")
TOLERANCE_NS = 20_000_000  # stamps this close are the same moment

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figures:
    """What was measured; None where it cannot be computed from what was given."""

    frames: int  # poses of the estimate that have a truth
    path_length_m: float  # of the estimate, before alignment
    truth_length_m: float | None = None  # over the same frames
    segments: int = 0  # KITTI's, of which t_err and r_err are the means
    t_err_percent: float | None = None
    r_err_deg_per_100m: float | None = None
    ate_m: float | None = None  # root mean square
    rpe_translation_m: float | None = None  # mean over consecutive frames
    rpe_rotation_deg: float | None = None
    alignment: str = "none"


def evaluate(estimate: Trajectory, truth: Trajectory, alignment: str = "none") -> Figures:
    """Compare two trajectories of the same body, each in its own world.

    Their first common poses are laid on each other; `se3`, `sim3` and `scale` then fit the
    estimate's positions to the truth's (least squares; Umeyama, PAMI 1991). A truth without
    orientations (GPS) has no heading to lay on: `none` and `scale` then become `se3` and `sim3`, and
    only its path is compared. Raises InputError for an unknown alignment and for trajectories that
    have no moment in common.
    """
    if alignment not in ALIGNMENTS:
        raise InputError(f"alignment: '{alignment}' is not known; use one of "
                         f"{', '.join(ALIGNMENTS)}.")
    if find_spec("evo") is None:
        raise InputError("evo: this Python library computes ATE and RPE and is not installed; run "
                         "pip install evo.")
    if not truth.oriented:
        alignment = {"none": "se3", "scale": "sim3"}.get(alignment, alignment)
    estimate, truth = in_order(estimate), in_order(truth)
    mine, its = associate(estimate.stamps_ns, truth.stamps_ns)
    if len(mine) == 0:
        raise InputError("trajectories: the estimate and the truth have no time stamp in common "
                         f"within {TOLERANCE_NS / 1e6:.0f} ms; give the truth of the same "
                         "recording.")
    poses = geometry.inverse(estimate.poses[mine[0]]) @ estimate.poses[mine]
    reference = geometry.inverse(truth.poses[its[0]]) @ truth.poses
    figures = {"frames": len(mine), "path_length_m": estimate.path_length_m, "alignment": alignment,
               "truth_length_m": float(_distances(reference[its])[-1])}
    aligned = align(poses, reference[its], alignment)
    if aligned is None:
        log.warning("path too short or too straight to be aligned by %s: no figures", alignment)
        return Figures(**figures)
    if not truth.oriented:
        return Figures(**figures, ate_m=_ate_rpe(aligned, reference[its]).get("ate_m"))
    return Figures(**figures, **_kitti(aligned, reference, its),
                   **_ate_rpe(aligned, reference[its]))


def associate(stamps_ns: np.ndarray, truth_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices (M,) into ascending stamps (N,) and of the nearest truth (T,), each used once."""
    if len(stamps_ns) == 0 or len(truth_ns) == 0:
        return np.empty(0, int), np.empty(0, int)
    after = np.searchsorted(truth_ns, stamps_ns)
    around = np.clip(np.stack([after - 1, after]), 0, len(truth_ns) - 1)
    gaps = np.abs(truth_ns[around] - stamps_ns)
    nearest = np.where(gaps[0] <= gaps[1], *around)
    close = np.flatnonzero(gaps.min(axis=0) <= TOLERANCE_NS)
    its, first = np.unique(nearest[close], return_index=True)
    return close[first], its


def align(poses: np.ndarray, reference: np.ndarray, alignment: str) -> np.ndarray | None:
    """Poses (N, 4, 4) fitted to the reference (N, 4, 4); None where the fit is not determined."""
    positions, targets = poses[:, :3, 3], reference[:, :3, 3]
    aligned = poses.copy()
    if alignment == "scale":  # about the common first pose, as papers on monocular odometry do
        energy = float((positions**2).sum())
        if energy == 0:
            return None
        aligned[:, :3, 3] *= float((positions * targets).sum()) / energy
    elif alignment != "none":
        from evo.core.geometry import GeometryException, umeyama_alignment
        try:
            R, t, scale = umeyama_alignment(positions.T, targets.T, with_scale=alignment == "sim3")
        except GeometryException:
            return None
        aligned[:, :3, 3] = scale * positions @ R.T + t
        aligned[:, :3, :3] = R @ poses[:, :3, :3]
    return aligned


def segment_errors(poses: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors over all KITTI segments: translation (m per m) and rotation (rad per m), each (S,).

    poses and truth are (N, 4, 4) of the same frames; frames without an estimate are NaN and
    segments that begin or end there are left out.
    """
    along = _distances(truth)
    starts, lengths = (a.ravel() for a in np.meshgrid(np.arange(0, len(truth), STEP), LENGTHS_M))
    ends = np.searchsorted(along, along[starts] + lengths, side="right")  # first frame beyond
    there = ends < len(truth)
    there[there] = np.isfinite(poses[starts[there], 0, 0] + poses[ends[there], 0, 0])
    a, b, lengths = starts[there], ends[there], lengths[there]
    motion = geometry.inverse(poses[a]) @ poses[b]
    error = geometry.inverse(motion) @ geometry.inverse(truth[a]) @ truth[b]
    cosine = (np.trace(error[:, :3, :3], axis1=1, axis2=2) - 1) / 2
    return (np.linalg.norm(error[:, :3, 3], axis=1) / lengths,
            np.arccos(np.clip(cosine, -1, 1)) / lengths)


def _kitti(poses: np.ndarray, truth: np.ndarray, its: np.ndarray) -> dict:
    # Frames are the truth's, as in the devkit, so that skipped frames do not shift the segments'
    # starts; but a truth sampled faster than the camera (a GPS/INS) has many poses that are no
    # frames at all.
    dense = len(its) > 1 and np.median(np.diff(its)) > 1
    frames = its if dense else np.arange(len(truth))
    estimated = np.full((len(frames), 4, 4), np.nan)
    estimated[np.searchsorted(frames, its)] = poses
    translation, rotation = segment_errors(estimated, truth[frames])
    if len(translation) == 0:
        return {}
    return {"segments": len(translation), "t_err_percent": float(100 * translation.mean()),
            "r_err_deg_per_100m": float(100 * np.degrees(rotation.mean()))}


def _ate_rpe(poses: np.ndarray, reference: np.ndarray) -> dict:
    if len(poses) < 2:
        return {}
    from evo.core import metrics
    from evo.core.trajectory import PosePath3D
    pair = (PosePath3D(poses_se3=list(reference)), PosePath3D(poses_se3=list(poses)))
    ate = metrics.APE(metrics.PoseRelation.translation_part)
    ate.process_data(pair)
    figures = {"ate_m": ate.get_statistic(metrics.StatisticsType.rmse)}
    for key, relation in (("rpe_translation_m", metrics.PoseRelation.translation_part),
                          ("rpe_rotation_deg", metrics.PoseRelation.rotation_angle_deg)):
        rpe = metrics.RPE(relation, delta=1, delta_unit=metrics.Unit.frames)
        rpe.process_data(pair)
        figures[key] = rpe.get_statistic(metrics.StatisticsType.mean)
    return {key: float(value) for key, value in figures.items()}


def _distances(poses: np.ndarray) -> np.ndarray:
    """Metres along the path (N,) from the first of poses (N, 4, 4)."""
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def in_order(trajectory: Trajectory) -> Trajectory:
    order = np.argsort(trajectory.stamps_ns, kind="stable")
    return replace(trajectory, stamps_ns=trajectory.stamps_ns[order],
                   positions=trajectory.positions[order], quaternions=trajectory.quaternions[order])
