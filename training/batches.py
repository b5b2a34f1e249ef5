"""Batches of windows of consecutive frame pairs, shuffled the same way in every process and run.

A batch is inputs (B, T, channels, rows, columns) and motions (B, T, 6), float32 tensors; rows (B,) are
the windows' first rows in the cache, mirror (B,) says which of them are seen in the mirror.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from distill_vo.errors import InputError
from distill_vo.frontend import FRONT_ENDS, MIRROR_SIGNS
from training.data.cache import PairCache


@dataclass(frozen=True)
class Batch:
    inputs: Tensor
    motions: Tensor
    rows: np.ndarray
    mirror: np.ndarray

    def to(self, device: torch.device) -> "Batch":
        return replace(self, inputs=self.inputs.to(device), motions=self.motions.to(device))


class Batches:
    """The batches of one epoch after another; `rank` of `world` processes gets its share of each."""

    def __init__(self, cache: PairCache, batch: int, window: int, seed: int, noise_px: float = 0.0,
                 rank: int = 0, world: int = 1):
        self.cache, self.size, self.window, self.seed = cache, batch, window, seed
        self.noise_px, self.rank, self.world = noise_px, rank, world
        self._mirrored = FRONT_ENDS[cache.front_end].mirrored
        self._starts = cache.windows(window, max(1, window // 2))
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
            mirror = rng.random(self.size) < 0.5
            noise_seed = rng.integers(2**63)
            share = slice(self.rank, None, self.world)
            yield self._load(rows[share], mirror[share], (noise_seed, self.rank))

    def _load(self, rows: np.ndarray, mirror: np.ndarray, noise_seed: tuple) -> Batch:
        index = rows[:, None] + np.arange(self.window)
        inputs, motions = self.cache.inputs[index].astype(np.float32), self.cache.motions[index]
        inputs[mirror] = self._mirrored(inputs[mirror])
        motions[mirror] *= MIRROR_SIGNS
        if self.noise_px:
            noise = np.random.default_rng(noise_seed).standard_normal(inputs.shape, np.float32)
            inputs += self.noise_px * noise
        return Batch(torch.from_numpy(inputs), torch.from_numpy(motions.astype(np.float32)),
                     rows, mirror)
