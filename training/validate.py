"""What a network is worth on whole drives: its motions chained and compared with the truth."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from distill_vo import geometry
from distill_vo.errors import InputError
from distill_vo.evaluation.metrics import align, segment_errors
from distill_vo.frontend import FRONT_ENDS
from distill_vo.inertia import Inertia
from distill_vo.networks import PoseRegressor
from distill_vo.student import Student
from training.data.cache import PairCache, Track
from training.twins import levelled

FLOWS, FRAMES = 256, 16  # pairs sent through a network at once: of flow, of whole frames


class Seen(NamedTuple):
    """Consecutive pairs of a drive as the odometry sees them, once it has levelled its view."""

    inputs: np.ndarray  # (N, C, H, W)
    motions: np.ndarray  # (N, 6), the true ones
    seconds: float  # between the two frames of a pair


class Prediction(NamedTuple):
    """What a network says of consecutive pairs."""

    motions: np.ndarray  # (N, 6) metres and radians
    sigmas: np.ndarray  # (N, 6)
    hints: np.ndarray  # (N, width)


def chunks(count: int, front_end: str) -> list[slice]:
    """`count` consecutive pairs in parts that go through a network at once."""
    size = FLOWS if FRONT_ENDS[front_end].is_flow else FRAMES
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


@torch.inference_mode()
def predict(network: PoseRegressor, inputs: np.ndarray, device) -> Prediction:
    """Consecutive inputs (N, C, H, W) through the network, an LSTM starting from rest."""
    network.eval()
    motions, sigmas, hints, state = [], [], [], None
    for part in chunks(len(inputs), network.settings.front_end):
        out = network(torch.from_numpy(inputs[part].astype(np.float32)).to(device), state)
        state = out.state
        motion, sigma = out.in_numbers()
        motions.append(motion)
        sigmas.append(sigma)
        hints.append(out.hint.cpu().numpy())
    return Prediction(np.concatenate(motions), np.concatenate(sigmas), np.concatenate(hints))


def forward_tracks(cache: PairCache) -> list[Track]:
    """Each drive of a cache, run forwards at full rate. Raises InputError where there is none."""
    tracks = [track for track in cache.tracks if track.stride == 1]
    if not tracks:
        raise InputError(f"{cache.path}: holds no drive run forwards at full rate, on which students are "
                         "measured; prepare it with --strides 1.")
    return tracks


def forward_drives(cache: PairCache, off: tuple[float, float] = (0.0, 0.0)) -> Iterator[Seen]:
    """Each of them, levelled by the true way but for `off`, see `levelled`."""
    return (seen(cache, track, off) for track in forward_tracks(cache))


def seen(cache: PairCache, track: Track, off: tuple[float, float] = (0.0, 0.0)) -> Seen:
    return Seen(*levelled(cache, track.rows, off), track.seconds)


def said_by(student: Student, drive: Seen) -> tuple[np.ndarray, np.ndarray]:
    """A student's motions and sigmas (N, 6), in line with inertia as on the robot."""
    return in_line(*refined_by(student, drive.inputs), Inertia(squat=student.squat), drive.seconds)


def refined_by(student: Student, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A student's motions and sigmas (N, 6), each by itself."""
    found = predict(student.network, inputs, student.device)
    said = [student.refined(inputs[k].astype(np.float32), found.motions[k], found.sigmas[k])
            for k in chunks(len(inputs), student.settings.network.front_end)]
    return tuple(np.concatenate(part) for part in zip(*said, strict=True))


def in_line(motions: np.ndarray, sigmas: np.ndarray, inertia: Inertia,
            seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Motions and sigmas (N, 6) of consecutive pairs, their frames so many seconds apart -> the same in line
    with inertia."""
    motions, sigmas = motions.copy(), sigmas.copy()
    for k in range(len(motions)):
        motions[k], sigmas[k], inertia = inertia.at_keyframe().update(motions[k], sigmas[k], seconds)
    return motions, sigmas


def motions_by(network: PoseRegressor, device) -> Callable[[Seen], np.ndarray]:
    """What a network says of a drive by itself: motions (N, 6)."""
    return lambda drive: predict(network, drive.inputs, device).motions


def validate(motions_of: Callable[[Seen], np.ndarray], cache: PairCache) -> dict[str, float]:
    """Figures over all drives of a cache, run forwards at full rate and levelled; nothing is aligned but
    for the ATE. motions_of: a drive -> motions (N, 6).

    t_err_percent and r_err_deg_per_100m over all KITTI segments of all drives; rpe_t_m and rpe_r_deg
    are root mean squares per frame; ate_m, the mean over drives, is after sim3 alignment.
    """
    t_errors, r_errors, errors, ates = [], [], [], []
    for drive in forward_drives(cache):
        estimate, truth = geometry.from_motion(motions_of(drive)), geometry.from_motion(drive.motions)
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
