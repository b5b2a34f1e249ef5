"""What a student descends, by name: the equations of losses.py fed with a batch and the teacher's outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from distill_vo import settings as typed
from distill_vo.networks import PoseRegressor, Regression
from training import losses
from training.batches import Batch
from training.hints import Taught, TeacherOutputs
from training.train import Objective

ObjectiveName = Literal["student_only", "soft_target", "minimum", "additional", "upper_bound",
                        "probabilistic_laplace", "probabilistic_gaussian", "attentive"]
HintName = Literal["none", "ht", "aht"]


# Weight of losses that only describe the motion. The optimiser does not care how large they are, but
# gradients are clipped all together: large ones would leave nothing of those of the motion.
DESCRIBED = 1e-3


BOUNDS: typed.Bounds = {
    "alpha": (0, 1), "rotation_weight": (1e-3, 1e9), "eta_quantile": (0.01, 1), "temperature": (0.1, 100)}


@dataclass(frozen=True)
class ObjectiveSettings:
    """Which objective, and the weights in it."""

    objective: ObjectiveName = "attentive"
    hint: HintName = "aht"
    # Which of the teacher's motions: its network's own, or those by which it would drive, refined by geometry
    # and in line with inertia as a student's are on the robot.
    imitate: Literal["network", "driven"] = "network"
    stages: Literal["two", "joint"] = "two"  # hint training first, then the rest; or both at once
    alpha: float = 0.5  # share of the student loss
    rotation_weight: float = 1e4  # m^2/rad^2: a tenth of a degree weighs as much as 0.17 m
    eta: Literal["range", "quantile"] = "range"  # eq. 10, or a variant no outlier can stretch
    eta_quantile: float = 0.95
    temperature: float = 4.0  # of soft_target

    def __post_init__(self):
        typed.check(self, BOUNDS)

    @property
    def needs_teacher(self) -> bool:
        return self.objective != "student_only" or self.hint != "none"


@dataclass(frozen=True)
class Lesson:
    """All that an objective may be made of, for one batch."""

    out: Regression
    taught: Taught
    labels: Callable[[Tensor], Tensor]
    truth: Tensor
    s: Tensor
    m: Tensor
    w: ObjectiveSettings


def _probabilistic(likelihood):
    def objective(x: Lesson) -> Tensor:
        imitation = likelihood(x.out.motion, x.taught.motion, x.out.log_sigma)
        return losses.probabilistic(x.s, imitation, x.w.alpha)

    return objective


OBJECTIVES: dict[str, Callable[[Lesson], Tensor]] = {
    "soft_target": lambda x: losses.soft_target(
        x.out.logits, x.labels(x.truth), x.taught.logits, x.w.alpha, x.w.temperature),
    "minimum": lambda x: losses.minimum(x.s, x.m),
    "additional": lambda x: losses.additional(x.s, x.m, x.w.alpha),
    "upper_bound": lambda x: losses.upper_bound(x.s, x.m, x.taught.error, x.w.alpha),
    "probabilistic_laplace": _probabilistic(losses.laplace),
    "probabilistic_gaussian": _probabilistic(losses.gaussian),
    "attentive": lambda x: losses.attentive(x.s, x.m, x.taught.trust, x.w.alpha),
}


def regression(settings: ObjectiveSettings, teacher: TeacherOutputs | None,
               network: PoseRegressor) -> Objective:
    """The objective of the student's motion. Sigma learns beside it how large the error is."""

    def objective(out: Regression, batch: Batch) -> dict[str, Tensor]:
        s = losses.squared_error(out.motion, batch.motions, settings.rotation_weight)
        described = {}
        if not settings.objective.startswith("probabilistic"):
            # Laplace's likelihood: one gross error does not outweigh all others.
            sigma = losses.laplace(out.motion.detach(), batch.motions, out.log_sigma)
            described["sigma"] = DESCRIBED * sigma.mean()
        if out.logits is not None and settings.objective != "soft_target":
            labels = network.labels(batch.motions)
            described["bins"] = DESCRIBED * losses.cross_entropy(out.logits, labels).mean()
        if settings.objective == "student_only":
            return {"student": s.mean(), **described}
        taught = teacher.of(batch)
        m = losses.squared_error(out.motion, taught.motion, settings.rotation_weight)
        lesson = Lesson(out, taught, network.labels, batch.motions, s, m, settings)
        return {settings.objective: OBJECTIVES[settings.objective](lesson).mean(), **described}

    return objective


def hint(settings: ObjectiveSettings, teacher: TeacherOutputs) -> Objective:
    """HT or AHT: the student's guided layer learns the teacher's hint."""

    def objective(out: Regression, batch: Batch) -> dict[str, Tensor]:
        taught = teacher.of(batch)
        if settings.hint == "aht":
            return {"aht": losses.attentive_hint(taught.hint, out.hint, taught.trust).mean()}
        return {"ht": losses.hint(taught.hint, out.hint).mean()}

    return objective


def joint(first: Objective, second: Objective) -> Objective:
    """Both at once."""
    return lambda out, batch: first(out, batch) | second(out, batch)


def set_trust(teacher: TeacherOutputs, settings: ObjectiveSettings) -> float:
    """Phi over the whole training set, by the eta that the settings name; returns eta."""
    if settings.eta == "range":
        eta = losses.eta_range(teacher.error)
    else:
        eta = losses.eta_quantile(teacher.error, settings.eta_quantile)
    teacher.trust_by(eta)
    return eta
