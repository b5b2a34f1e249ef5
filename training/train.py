"""The training loop: one function that is read from top to bottom, for teachers and students alike.

Runs as it is on one device, and under `torchrun` on many: Lightning Fabric moves things about.
"""

import csv
import io
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from distill_vo import settings as typed
from distill_vo.errors import InputError, first_line
from distill_vo.networks import PoseRegressor, Regression
from distill_vo.trajectory import whole_file, write_whole
from training.batches import Batch, Batches
from training.data.cache import PairCache
from training.mirror import symmetrise
from training.validate import forward_tracks, motions_by, validate

# Named losses of a batch, each a mean over its samples; what is descended is their sum.
Objective = Callable[[Regression, Batch], dict[str, Tensor]]


BOUNDS: typed.Bounds = {
    "epochs": (1, 100_000), "batch": (1, 1_000_000), "window": (1, 10_000), "learning_rate": (1e-9, 1),
    "weight_decay": (0, 1), "warmup": (0, 0.99), "clip_norm": (1e-6, 1e6), "noise_px": (0, 100),
    "occluded": (0, 0.99), "average": (0, 1), "seed": (0, 2**32 - 1)}


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained."""

    epochs: int = 30
    batch: int = 256  # windows, over all processes
    window: int = 1  # consecutive pairs; more than one only for networks with an LSTM
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.1  # share of all steps in which the learning rate rises, to fall ever after
    clip_norm: float = 1.0
    noise_px: float = 0.0  # standard deviation added to the flow of each cell
    occluded: float = 0.0  # share of the cells of flow that move otherwise, see batches.occlude
    average: float = 0.999  # decay of the running mean of the weights, which is what is kept
    seed: int = 0
    precision: Literal["32-true", "bf16-mixed"] = "32-true"  # bf16 pays on GPUs that have it

    def __post_init__(self):
        """Raises InputError for what nothing can be learned by."""
        typed.check(self, BOUNDS)


def fabric_for(settings: TrainingSettings) -> Fabric:
    """Lightning Fabric on what the machine or `torchrun` offers, seeded."""
    world, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    fabric = Fabric(devices=local, num_nodes=world // local, strategy="ddp" if world > 1 else "auto",
                    precision=settings.precision)
    fabric.launch()
    fabric.seed_everything(settings.seed, verbose=False)
    return fabric


def train(network: PoseRegressor, objective: Objective, settings: TrainingSettings, cache: PairCache,
          validation: PairCache | None, out: Path, fabric: Fabric, origin: dict) -> PoseRegressor:
    """Train what is not frozen of `network`; return the running mean of it.

    Without `validation` there are losses only: a student's hint stage has no motion yet. After each epoch
    out/last.ckpt holds all that is needed to go on after a kill to the same numbers, and out/curves.csv the
    losses and the figures on the validation drives. origin: what else decides what is learned, in plain
    values; what was begun with another is refused.
    """
    out.mkdir(parents=True, exist_ok=True)
    if validation is not None:
        forward_tracks(validation)  # refused now, not after an epoch
    origin = asdict(settings) | {"network": asdict(network.settings), "cache": cache.digest} | origin
    batches = Batches(cache, settings.batch, settings.window, settings.seed, settings.noise_px,
                      settings.occluded, fabric.global_rank, fabric.world_size)
    steps = settings.epochs * len(batches)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad],
                                  settings.learning_rate, weight_decay=settings.weight_decay)
    # OneCycleLR divides by the steps from the first of the rise to its last: one step is no rise.
    warmup = settings.warmup if settings.warmup * steps > 1 else 0.0
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, steps, pct_start=warmup)
    average = AveragedModel(network, fabric.device, avg_fn=_running_mean(settings.average))
    model, optimizer = fabric.setup(network, optimizer)
    state = {"network": network, "average": average, "optimizer": optimizer, "schedule": schedule}
    curves = _resume(out / "last.ckpt", state, origin)

    for epoch in range(len(curves), settings.epochs):
        start, sums = time.perf_counter(), {}
        torch.manual_seed(settings.seed * 1000 + epoch)  # dropout, the same after a resume
        _train_mode(network)
        for batch in _progress(batches, epoch, settings.epochs, fabric):
            batch = batch.to(fabric.device)
            losses = objective(model(batch.inputs), batch)
            fabric.backward(sum(losses.values()))
            fabric.clip_gradients(model, optimizer, max_norm=settings.clip_norm)
            optimizer.step()
            symmetrise(network)
            optimizer.zero_grad()
            schedule.step()
            average.update_parameters(network)
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + loss.detach()
        row = {"epoch": epoch + 1, "seconds": time.perf_counter() - start}
        row |= {name: float(fabric.all_reduce(total)) / len(batches) for name, total in sums.items()}
        if validation is not None:
            row |= validate(motions_by(average.module, fabric.device), validation)
        curves.append(row)
        if fabric.global_rank == 0:
            _save(out / "last.ckpt", state, origin, curves)
            _write_curves(out / "curves.csv", curves)
            print(json.dumps({k: round(v, 5) for k, v in row.items()}), flush=True)
    return average.module


def _train_mode(network: PoseRegressor) -> None:
    """Dropout where something is learned; frozen layers give what they will give on the robot."""
    network.train()
    for part in network.guided_part():
        part.train(any(p.requires_grad for p in part.parameters()))


def _progress(batches: Batches, epoch: int, epochs: int, fabric: Fabric):
    quiet = fabric.global_rank > 0 or not sys.stderr.isatty()
    return tqdm(batches.epoch(epoch), f"epoch {epoch + 1}/{epochs}", len(batches), leave=False,
                disable=quiet, unit="batch")


def _running_mean(decay: float):
    """Exponential moving average that soon forgets the untrained weights it began with."""
    def update(mean: Tensor, new: Tensor, count: Tensor) -> Tensor:
        return mean.lerp(new, 1 - min(decay, float((1 + count) / (10 + count))))

    return update


def _save(path: Path, state: dict, origin: dict, curves: list[dict]) -> None:
    content = {name: part.state_dict() for name, part in state.items()}
    with whole_file(path) as file:
        torch.save(content | {"origin": origin, "curves": curves}, file)


def _resume(path: Path, state: dict, origin: dict) -> list[dict]:
    """Fill `state` from an earlier run's checkpoint, if there is one; its curves so far."""
    if not path.exists():
        return []
    try:
        # Only tensors and plain values are taken from the file; nothing in it is run.
        content = torch.load(path, map_location="cpu", weights_only=True)
        changed = [key for key, value in origin.items() if content["origin"].get(key) != value]
    except OSError:
        raise
    except Exception as error:  # damaged files let many kinds of errors out
        raise InputError(f"{path}: is damaged ({first_line(error)}); delete it to begin this training anew, "
                         "nothing else is lost.") from error
    if changed:
        raise InputError(f"{path}: was begun with another {', '.join(changed)}; give another --out or "
                         "remove it.")
    for name, part in state.items():
        part.load_state_dict(content[name])
    return content["curves"]


def _write_curves(path: Path, curves: list[dict]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, curves[0])
    table.writeheader()
    table.writerows(curves)
    write_whole(path, text.getvalue())
