"""Distil a student from a teacher, by any objective of the paper, and calibrate its sigma.

With `hint: ht` or `aht` and `stages: two` the layers up to the guided one learn the teacher's hint first;
then they are frozen and the rest learns the objective. `objective: student_only` needs no teacher.

  python -m training distil config/flow-s.yaml --teacher runs/teacher/teacher.safetensors \\
      --cache cache/train --validation cache/validation --out runs/flow-s
"""

import argparse
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from distill_vo import settings as typed
from distill_vo.errors import InputError
from distill_vo.frontend import FRONT_ENDS
from distill_vo.networks import NetworkSettings, PoseRegressor
from distill_vo.student import load_network
from training import objectives, shapes
from training.data.cache import PairCache
from training.hints import TeacherOutputs, teacher_outputs
from training.mirror import untrained
from training.objectives import ObjectiveSettings
from training.results import save_run
from training.train import BOUNDS, TrainingSettings, fabric_for, train
from training.validate import forward_tracks, predict, seen


@dataclass(frozen=True)
class DistilSettings:
    """A student, and how it learns."""

    training: TrainingSettings
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    hint_epochs: int = 10  # of the first of two stages
    rate: float = 0.9295  # share of the teacher's parameters to do without, which gives the shape
    network: NetworkSettings | None = None  # a shape of one's own instead

    def __post_init__(self):
        typed.check(self, {"hint_epochs": BOUNDS["epochs"], "rate": shapes.RATE_BOUNDS})
        if self.training.window != 1:
            raise InputError(f"training.window: is {self.training.window}; students see single pairs, leave "
                             "it out.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("settings", type=Path, help="YAML file, see config/flow-s.yaml")
    parser.add_argument("--teacher", type=Path, help="file that `python -m training teacher` wrote")
    parser.add_argument("--cache", type=Path, required=True, help="pairs to train on")
    parser.add_argument("--validation", type=Path, required=True, help="pairs of other drives")
    parser.add_argument("--out", type=Path, required=True, help="folder for curves and weights")


def run(args: argparse.Namespace) -> None:
    settings = typed.load(DistilSettings, args.settings)
    if settings.objective.needs_teacher and args.teacher is None:
        raise InputError(f"{args.settings}: objective {settings.objective.objective} with hint "
                         f"{settings.objective.hint} needs a teacher; give one with --teacher.")
    fabric = fabric_for(settings.training)
    taught = load_network(args.teacher)[1].network if args.teacher else None
    shape = _shape(settings, taught)
    cache = PairCache.open(args.cache, FRONT_ENDS[shape.front_end].networks_see)
    validation = PairCache.open(args.validation, shape.front_end)
    # Logits of two networks are of the same motions only where their bins are.
    network = untrained(shape, cache, taught if shape.motion_from_bins else None)
    fits = taught is not None and shape.hint_width == taught.hint_width
    if settings.objective.hint != "none" and not fits:
        raise InputError(f"{args.settings}: the guided layer has {shape.hint_width} outputs, the teacher's "
                         f"hint {taught.hint_width}; make that layer of network.fully_connected as wide.")
    teacher = _teacher(args.teacher, cache, settings.objective, fabric) if args.teacher else None
    network = distil(network, teacher, settings, cache, validation, args.out, fabric)
    if fabric.global_rank == 0:
        extra = {}
        if teacher is not None:
            extra["trust"] = float(teacher.trust.mean())
        if fits:
            extra["hint_error"] = hint_error(network, args.teacher, validation, fabric.device)
        save_run(args.out, args.settings.stem, network, settings, cache, validation, extra)


def _shape(settings: DistilSettings, teacher: NetworkSettings | None) -> NetworkSettings:
    if settings.network is not None:
        shape = settings.network
    elif teacher is None:
        raise InputError("network: a student by its rate needs the teacher it is measured by; give "
                         "--teacher, or a network in the settings.")
    else:
        shape = shapes.student(teacher, settings.rate)
    classifier = settings.objective.objective == "soft_target"
    return replace(shape, bins=shapes.BINS if classifier else 0, motion_from_bins=classifier)


def _teacher(file: Path, cache: PairCache, settings: ObjectiveSettings, fabric: Fabric) -> TeacherOutputs:
    teacher = teacher_outputs(file, cache, settings.rotation_weight, fabric.device, settings.imitate)
    eta = objectives.set_trust(teacher, settings)
    print(f"eta {eta:.5g}; trust: mean {teacher.trust.mean():.3f}, "
          f"zero for {(teacher.trust == 0).float().mean():.2%}", flush=True)
    return teacher


def distil(network: PoseRegressor, teacher: TeacherOutputs | None, settings: DistilSettings,
           cache: PairCache, validation: PairCache, out: Path, fabric: Fabric) -> PoseRegressor:
    """Train the student in one or two stages; each has its folder under `out`."""
    how = settings.objective
    origin = {"objective": asdict(how), "teacher": teacher and teacher.name}
    last = objectives.regression(how, teacher, network)
    if how.hint == "none":
        return train(network, last, settings.training, cache, validation, out / "regression", fabric, origin)
    first = objectives.hint(how, teacher)
    if how.stages == "joint":
        both = objectives.joint(first, last)
        return train(network, both, settings.training, cache, validation, out / "joint", fabric, origin)
    guided = network.guided_part()
    network.requires_grad_(False)
    for part in guided:
        part.requires_grad_(True)
    stage = replace(settings.training, epochs=settings.hint_epochs)
    network = train(network, first, stage, cache, None, out / "hint", fabric, origin)
    network.requires_grad_(True)
    for part in network.guided_part():
        part.requires_grad_(False)
    last = objectives.regression(how, teacher, network)
    return train(network, last, settings.training, cache, validation, out / "regression", fabric, origin)


def hint_error(network: PoseRegressor, teacher: Path, cache: PairCache, device) -> float:
    """Root mean square of Psi_T - Psi_S over the validation drives: how well hints are reconstructed."""
    outputs = teacher_outputs(teacher, cache, 1.0, device)
    total, count = 0.0, 0
    for track in forward_tracks(cache):
        hints = predict(network, seen(cache, track).inputs, device).hints
        total += float(((hints - outputs.hints[0, track.rows]) ** 2).sum())
        count += hints.size
    return float(np.sqrt(total / count))
