"""What a network is worth on whole drives: its motions chained and compared with the truth."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from distill_vo import geometry
from distill_vo.evaluation.metrics import align, segment_errors
from distill_vo.inertia import Inertia
from distill_vo.networks import PoseRegressor
from distill_vo.student import Student
from training.data.cache import PairCache
from training.data.drive import DT
from training.twins import levelled

CHUNK = 256  # pairs sent through the network at once


class Prediction(NamedTuple):
    """What a network says of consecutive pairs."""

    motions: np.ndarray  # (N, 6) metres and radians
    sigmas: np.ndarray  # (N, 6)
    hints: np.ndarray  # (N, width)


@torch.inference_mode()
def predict(network: PoseRegressor, inputs: np.ndarray, device) -> Prediction:
    """Consecutive inputs (N, C, H, W) through the network, an LSTM starting from rest."""
    network.eval()
    motions, sigmas, hints, state = [], [], [], None
    for start in range(0, len(inputs), CHUNK):
        chunk = inputs[start:start + CHUNK].astype(np.float32)
        out = network(torch.from_numpy(chunk).to(device), state)
        state = out.state
        motion, sigma = out.in_numbers()
        motions.append(motion)
        sigmas.append(sigma)
        hints.append(out.hint.cpu().numpy())
    return Prediction(np.concatenate(motions), np.concatenate(sigmas), np.concatenate(hints))


def forward_tracks(cache: PairCache) -> list[slice]:
    """Rows of each drive of a cache, run forwards at full rate."""
    return [slice(t.start, t.stop) for t in cache.tracks if t.stride == 1 and t.stop > t.start]


def forward_drives(cache: PairCache,
                   off: tuple[float, float] = (0.0, 0.0)) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs (N, C, H, W) and motions (N, 6) of each of them, levelled by the true way but for `off`, see
    `levelled`."""
    return (levelled(cache, rows, off) for rows in forward_tracks(cache))


def said_by(student: Student, inputs: np.ndarray, seconds: float = DT) -> tuple[np.ndarray, np.ndarray]:
    """A student's motions and sigmas (N, 6) of consecutive inputs, in line with inertia as on the robot.

    seconds: between the two frames of a pair; those of streets, and of KITTI, are 0.1 s apart.
    """
    return in_line(*refined_by(student, inputs), Inertia(squat=student.squat), seconds)


def refined_by(student: Student, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A student's motions and sigmas (N, 6), each by itself."""
    found = predict(student.network, inputs, student.device)
    chunks = [slice(start, start + CHUNK) for start in range(0, len(inputs), CHUNK)]
    said = [student.refined(inputs[k].astype(np.float32), found.motions[k], found.sigmas[k]) for k in chunks]
    return tuple(np.concatenate(part) for part in zip(*said, strict=True))


def in_line(motions: np.ndarray, sigmas: np.ndarray, inertia: Inertia,
            seconds: float = DT) -> tuple[np.ndarray, np.ndarray]:
    """Consecutive motions and sigmas (N, 6) -> the same in line with inertia."""
    motions, sigmas = motions.copy(), sigmas.copy()
    for k in range(len(motions)):
        motions[k], sigmas[k], inertia = inertia.at_keyframe().update(motions[k], sigmas[k], seconds)
    return motions, sigmas


def motions_by(network: PoseRegressor, device) -> Callable[[np.ndarray], np.ndarray]:
    """What a network says of a drive's inputs (N, C, H, W) by itself: motions (N, 6)."""
    return lambda inputs: predict(network, inputs, device).motions


def validate(motions_of: Callable[[np.ndarray], np.ndarray], cache: PairCache) -> dict[str, float]:
    """Figures over all drives of a cache, run forwards at full rate and levelled; nothing is aligned but
    for the ATE. motions_of: a drive's inputs (N, C, H, W) -> motions (N, 6).

    t_err_percent and r_err_deg_per_100m over all KITTI segments of all drives; rpe_t_m and rpe_r_deg
    are root mean squares per frame; ate_m, the mean over drives, is after sim3 alignment.
    """
    t_errors, r_errors, errors, ates = [], [], [], []
    for inputs, motions in forward_drives(cache):
        estimate, truth = geometry.from_motion(motions_of(inputs)), geometry.from_motion(motions)
        errors.append(frame_errors(truth, estimate))
        driven, reference = chain(estimate), chain(truth)
        t_err, r_err = segment_errors(driven, reference)
        aligned = align(driven, reference, "sim3")
        if aligned is not None:
            ates.append(_rms(aligned[:, :3, 3] - reference[:, :3, 3]))
        t_errors.append(t_err)
        r_errors.append(r_err)
    errors = np.concatenate(errors)
    return {"t_err_percent": 100 * _mean(t_errors),
            "r_err_deg_per_100m": float(100 * np.degrees(_mean(r_errors))),
            "ate_m": float(np.mean(ates)) if ates else float("nan"),
            "rpe_t_m": _rms(errors[:, :3]), "rpe_r_deg": float(np.degrees(_rms(errors[:, 3:])))}


def frame_errors(truth: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """What is left from true to estimated motions (N, 4, 4): (N, 6) metres and radians."""
    return geometry.to_motion(geometry.inverse(truth) @ estimate)


def chain(motions: np.ndarray) -> np.ndarray:
    """Motions (N, 4, 4) -> poses (N + 1, 4, 4) from the identity."""
    poses = [np.eye(4)]
    for motion in motions:
        poses.append(poses[-1] @ motion)
    return np.array(poses)


def _mean(parts: list[np.ndarray]) -> float:
    whole = np.concatenate(parts)
    return float(whole.mean()) if len(whole) else float("nan")


def _rms(vectors: np.ndarray) -> float:
    return float(np.sqrt((vectors**2).sum(axis=1).mean()))
