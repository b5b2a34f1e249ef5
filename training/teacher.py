"""Train a teacher: the recurrent network whose motions and hints students are to imitate.

  python -m training teacher config/teacher.yaml --cache cache/train --validation cache/validation \\
      --out runs/teacher
"""

import argparse
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from distill_vo import settings as typed
from distill_vo.errors import InputError
from distill_vo.networks import NetworkSettings
from training import objectives, shapes
from training.data.cache import PairCache
from training.mirror import untrained
from training.objectives import ObjectiveSettings
from training.results import save_run
from training.train import TrainingSettings, fabric_for, train


@dataclass(frozen=True)
class TeacherSettings:
    """A teacher, and how it learns."""

    training: TrainingSettings
    front_end: Literal["dense_flow", "stacked_frames"] = "dense_flow"
    rotation_weight: float = 1e4  # m^2/rad^2: a tenth of a degree weighs as much as 0.17 m
    network: NetworkSettings | None = None  # a shape of one's own instead of the front end's

    def __post_init__(self):
        typed.check(self, {"rotation_weight": objectives.BOUNDS["rotation_weight"]})
        if self.network and self.network.front_end != self.front_end:
            raise InputError(f"front_end: is {self.front_end}, but network's is {self.network.front_end}; "
                             "give both the same.")

    @property
    def objective(self) -> ObjectiveSettings:
        return ObjectiveSettings("student_only", "none", rotation_weight=self.rotation_weight)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("settings", type=Path, help="YAML file, see config/teacher.yaml")
    parser.add_argument("--cache", type=Path, required=True, help="pairs to train on")
    parser.add_argument("--validation", type=Path, required=True, help="pairs of other drives")
    parser.add_argument("--out", type=Path, required=True, help="folder for curves and weights")


def run(args: argparse.Namespace) -> None:
    settings = typed.load(TeacherSettings, args.settings)
    fabric = fabric_for(settings.training)
    cache = PairCache.open(args.cache, settings.front_end)
    validation = PairCache.open(args.validation, settings.front_end)
    # Its bins are what soft_target imitates; they only describe the motion and do not shape the features.
    shape = replace(settings.network or shapes.TEACHERS[settings.front_end], bins=shapes.BINS)
    network = untrained(shape, cache)
    objective = objectives.regression(settings.objective, None, network)
    network = train(network, objective, settings.training, cache, validation, args.out / "training", fabric,
                    {"objective": asdict(settings.objective)})
    if fabric.global_rank == 0:
        save_run(args.out, args.settings.stem, network, settings, cache, validation)
