"""The training loop: one function that is read from top to bottom, for teachers and students alike.

Runs as it is on one device, and under `torchrun` on many: Lightning Fabric moves things about.
"""

import csv
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from distill_vo.networks import PoseRegressor, Regression
from training.batches import Batch, Batches
from training.data.cache import PairCache
from training.validate import validate

# what is to be minimised: named losses of a batch, each a mean; their sum is descended
Objective = Callable[[Regression, Batch], dict[str, Tensor]]


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained."""

    epochs: int = 30
    batch: int = 256  # windows, over all processes
    window: int = 1  # consecutive pairs; more than one only for networks with an LSTM
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.05  # share of all steps in which the learning rate rises
    clip_norm: float = 1.0
    noise_px: float = 0.0  # standard deviation added to the flow of each cell
    average: float = 0.999  # decay of the running mean of the weights, which is what is kept
    seed: int = 0


def train(network: PoseRegressor, objective: Objective, settings: TrainingSettings, cache: PairCache,
          validation: PairCache, out: Path, fabric: Fabric) -> PoseRegressor:
    """Train `network`, write curves and checkpoints to `out`, return the averaged network.

    `out/last.ckpt` holds all that is needed to go on after a kill with the same numbers.
    """
    batches = Batches(cache, settings.batch, settings.window, settings.seed, settings.noise_px,
                      fabric.global_rank, fabric.world_size)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, settings.learning_rate,
                                  weight_decay=settings.weight_decay)
    steps = settings.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, steps, pct_start=settings.warmup)
    average = torch.optim.swa_utils.AveragedModel(network, avg_fn=_running_mean(settings.average))
    model, optimizer = fabric.setup(network, optimizer)
    average = average.to(fabric.device)
    state = {"model": model, "average": average, "optimizer": optimizer, "schedule": schedule,
             "epoch": 0, "rows": []}
    if (out / "last.ckpt").exists():
        fabric.load(out / "last.ckpt", state)
    for epoch in range(state["epoch"], settings.epochs):
        start, sums = time.perf_counter(), {}
        torch.manual_seed(settings.seed * 1000 + epoch)  # dropout, the same after a resume
        model.train()
        bar = tqdm(batches.epoch(epoch), f"epoch {epoch + 1}/{settings.epochs}", len(batches),
                   leave=False, disable=fabric.global_rank > 0)
        for batch in bar:
            batch = batch.to(fabric.device)
            losses = objective(model(batch.inputs), batch)
            fabric.backward(sum(losses.values()))
            fabric.clip_gradients(model, optimizer, max_norm=settings.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            average.update_parameters(network)
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + loss.detach()
        row = {"epoch": epoch + 1, "seconds": time.perf_counter() - start}
        row |= {name: float(fabric.all_reduce(total)) / len(batches) for name, total in sums.items()}
        row |= validate(average.module, validation, fabric.device)
        state["rows"].append(row)
        state["epoch"] = epoch + 1
        fabric.save(out / "last.ckpt", state)
        if fabric.global_rank == 0:
            _write_curves(out / "curves.csv", state["rows"])
            print(json.dumps({k: round(v, 5) for k, v in row.items()}), flush=True)
    return average.module


def _running_mean(decay: float):
    """Exponential moving average that forgets the untrained weights it began with."""
    def update(mean: Tensor, new: Tensor, count: Tensor) -> Tensor:
        return mean.lerp(new, 1 - min(decay, float((1 + count) / (10 + count))))

    return update


def _write_curves(path: Path, rows: list[dict]) -> None:
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
