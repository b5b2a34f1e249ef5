"""Batches of windows of consecutive frame pairs, shuffled the same way in every process and run.

A batch is inputs (B, T, channels, rows, columns) and motions (B, T, 6), float32 tensors; rows (B,) are
the windows' first rows in the cache, twin (B,) says which of their twins are seen (twins.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from distill_vo.errors import InputError
from training.data.cache import PairCache
from training.twins import TWINS, twins

PATCHES = (4, 10)  # hills of a random landscape, down and across; the highest are patches
OTHER_MOTION = (0.0, 1.3)  # of a patch, in units of what is seen there


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
                 occluded: float = 0.0, rank: int = 0, world: int = 1):
        self.cache, self.size, self.window, self.seed = cache, batch, window, seed
        self.noise_px, self.occluded, self.rank, self.world = noise_px, occluded, rank, world
        self._starts = cache.windows(window)
        if batch < 1 or batch % world:
            raise InputError(f"batch: {batch} is shared by {world} processes; give a number they can divide.")
        if len(self) == 0:
            raise InputError(f"{cache.path}: holds {len(self._starts)} windows of {window} pairs, less than "
                             f"a batch of {batch}; prepare more data or set a smaller batch.")

    def __len__(self) -> int:
        return len(self._starts) // self.size

    def epoch(self, number: int) -> Iterator[Batch]:
        """All windows, each as one of its twins, in the order and with the augmentation that seed and epoch
        determine."""
        rng = np.random.default_rng((self.seed, number))
        order = rng.permutation(self._starts)
        for i in range(len(self)):
            rows = order[i * self.size:(i + 1) * self.size]
            twin = rng.integers(TWINS[self.cache.front_end], size=self.size)
            seed = rng.integers(2**63)
            share = slice(self.rank, None, self.world)
            yield self._load(rows[share], twin[share], (seed, self.rank))

    def _load(self, rows: np.ndarray, twin: np.ndarray, seed: tuple) -> Batch:
        index = (rows[:, None] + np.arange(self.window)).ravel()
        inputs, motions = twins(self.cache, index, twin.repeat(self.window))
        rng = np.random.default_rng(seed)
        if self.occluded:
            inputs = occlude(inputs, self.occluded, rng)
        if self.noise_px:
            inputs += self.noise_px * rng.standard_normal(inputs.shape, np.float32)
        inputs, motions = (torch.from_numpy(a).float().unflatten(0, (len(rows), self.window))
                           for a in (inputs, motions))
        return Batch(inputs, motions, rows, twin)


def occlude(flow: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Flow (B, channels, rows, columns) float32, of u, v, u, ... -> the same, `share` of its cells occluded.

    In patches, those of the view and of the road by themselves, things move by another part of their motion,
    as vehicles ahead and bare road do. What learns from that believes no single place.
    """
    parts = flow.reshape(len(flow), -1, 2, *flow.shape[2:])
    count, pairs, _, *size = parts.shape
    heights = torch.from_numpy(rng.standard_normal((count, pairs, *PATCHES), np.float32))
    heights = interpolate(heights, size=size, mode="bilinear", align_corners=False).numpy()
    is_patch = heights > np.quantile(heights, 1 - share, axis=(2, 3), keepdims=True)
    others = rng.uniform(*OTHER_MOTION, (count, pairs, 1, 1)).astype(np.float32)
    return (parts * np.where(is_patch, others, np.float32(1))[:, :, None]).reshape(flow.shape)
