"""Train a student and export it, with its covariance calibrated on the validation drives.

  python -m training distil config/flow-s.yaml --cache cache/train --validation cache/val --out runs/flow-s
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric
from torch import Tensor

from distill_vo import settings as typed
from distill_vo.networks import NetworkSettings, PoseRegressor, Regression
from distill_vo.student import StudentSettings, save
from distill_vo.trajectory import write_whole
from training import losses
from training.batches import Batch
from training.card import commit
from training.data.cache import PairCache
from training.train import Objective, TrainingSettings, train
from training.validate import predict


@dataclass(frozen=True)
class DistilSettings:
    """A student, and how it learns."""

    network: NetworkSettings
    training: TrainingSettings
    rotation_weight: float = 2500.0  # m^2/rad^2: what one rad of error costs against one metre


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("settings", type=Path, help="YAML file, see config/flow-s.yaml")
    parser.add_argument("--cache", type=Path, required=True, help="pairs to train on")
    parser.add_argument("--validation", type=Path, required=True, help="pairs of other drives")
    parser.add_argument("--out", type=Path, required=True, help="folder for curves and weights")


def run(args: argparse.Namespace) -> None:
    settings = typed.load(DistilSettings, args.settings)
    fabric = Fabric()
    fabric.launch()
    fabric.seed_everything(settings.training.seed, verbose=False)
    cache = PairCache.open(args.cache, settings.network.front_end)
    validation = PairCache.open(args.validation, settings.network.front_end)
    scale = tuple(float(v) for v in cache.motions.std(axis=0))
    network_settings = replace(settings.network, motion_scale=scale)
    network = PoseRegressor(network_settings)
    args.out.mkdir(parents=True, exist_ok=True)
    objective = student_only(settings.rotation_weight)
    network = train(network, objective, settings.training, cache, validation, args.out, fabric)
    if fabric.global_rank == 0:
        student = StudentSettings(network_settings, calibrate(network, validation, fabric.device))
        digest = save(args.out / f"{args.settings.stem}.safetensors", network, student)
        _write_story(args, settings, cache)
        print(f"{args.out / args.settings.stem}.safetensors: {digest}")


def _write_story(args: argparse.Namespace, settings: DistilSettings, cache: PairCache) -> None:
    """run.json: what the model card tells of how the student came to be."""
    story = {
        "name": args.settings.stem,
        "data": f"{len(cache)} frame pairs of {len(cache.about['drives'])} drives "
                f"({cache.about['said']}), strides {cache.about['strides']}",
        "command": "python -m training " + shlex.join(sys.argv[1:]),
        "commit": commit(), "seed": settings.training.seed, "settings": asdict(settings),
    }
    write_whole(args.out / "run.json", json.dumps(story, indent=1) + "\n")


def student_only(rotation_weight: float) -> Objective:
    """No distillation: the mean of s_i, and sigma learning how large the error is."""

    def objective(out: Regression, batch: Batch) -> dict[str, Tensor]:
        error = losses.squared_error(out.motion, batch.motions, rotation_weight)
        sigma = losses.gaussian(out.motion.detach(), batch.motions, out.log_sigma)
        return {"student": error.mean(), "sigma": sigma.mean()}

    return objective


def calibrate(network: PoseRegressor, cache: PairCache, device) -> tuple[float, ...]:
    """Factor for each axis (6,) by which sigma must grow for 68.3 % of errors to lie within it.

    A quantile, not a root mean square: a few frames on which everything fails must not blur all others.
    """
    ratios = []
    for track in cache.tracks:
        if track.stride == 1 and track.stop > track.start:
            rows = slice(track.start, track.stop)
            motion, sigma = predict(network, cache.inputs[rows], device)
            ratios.append(np.abs(motion - cache.motions[rows]) / sigma)
    return tuple(float(v) for v in np.quantile(np.concatenate(ratios), 0.6827, axis=0))
