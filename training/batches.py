"""Batches of windows of consecutive frame pairs, shuffled the same way in every process and run.

A batch is inputs (B, T, channels, rows, columns) and motions (B, T, 6), float32 tensors; rows (B,) are
the windows' first rows in the cache, twin (B,) says which of their twins are seen (twins.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from distill_vo.errors import InputError
from training.data.cache import PairCache
from training.twins import TWINS, twins


@dataclass(frozen=True)
class Batch:
    inputs: Tensor
    motions: Tensor
    rows: np.ndarray
    twin: np.ndarray

    def to(self, device: torch.device) -> "Batch":
        return replace(self, inputs=self.inputs.to(device), motions=self.motions.to(device))


class Batches:
    """The batches of one epoch after another; `rank` of `world` processes gets its share of each."""

    def __init__(self, cache: PairCache, batch: int, window: int, seed: int, noise_px: float = 0.0,
                 rank: int = 0, world: int = 1):
        self.cache, self.size, self.window, self.seed = cache, batch, window, seed
        self.noise_px, self.rank, self.world = noise_px, rank, world
        self._starts = cache.windows(window)
        if len(self) == 0:
            raise InputError(f"{cache.path}: holds {len(self._starts)} windows of {window} pairs, less than "
                             f"a batch of {batch}; prepare more data or set a smaller batch.")

    def __len__(self) -> int:
        return len(self._starts) // self.size

    def epoch(self, number: int) -> Iterator[Batch]:
        """Every window once, in the order and with the augmentation that seed and epoch determine."""
        rng = np.random.default_rng((self.seed, number))
        order = rng.permutation(self._starts)
        for i in range(len(self)):
            rows = order[i * self.size:(i + 1) * self.size]
            twin = rng.integers(TWINS[self.cache.front_end], size=self.size)
            noise_seed = rng.integers(2**63)
            share = slice(self.rank, None, self.world)
            yield self._load(rows[share], twin[share], (noise_seed, self.rank))

    def _load(self, rows: np.ndarray, twin: np.ndarray, noise_seed: tuple) -> Batch:
        index = (rows[:, None] + np.arange(self.window)).ravel()
        inputs, motions = twins(self.cache, index, twin.repeat(self.window))
        if self.noise_px:
            noise = np.random.default_rng(noise_seed).standard_normal(inputs.shape, np.float32)
            inputs += self.noise_px * noise
        inputs, motions = (torch.from_numpy(a.astype(np.float32, copy=False)).unflatten(
            0, (len(rows), self.window)) for a in (inputs, motions))
        return Batch(inputs, motions, rows, twin)
