"""Networks that lean to no side: what one says of a mirror image is the mirrored motion, to rounding.

The channels and outputs of each layer are two halves that change places in a mirror. Weights with which that
is so are a linear subspace: training begins in it, and goes back to its nearest point after each step. Were
mirror images only among what is learned from, chance would still make a network lean to one side.
Source: Cohen, Welling, "Group Equivariant Convolutional Networks", ICML 2016, of the group of two elements.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from distill_vo.frontend import FRONT_ENDS
from distill_vo.networks import CHANNELS, MIRROR_SIGNS, MOTION, NetworkSettings, PoseRegressor
from training.data.cache import PairCache


def untrained(shape: NetworkSettings, cache: PairCache, like: NetworkSettings | None = None) -> PoseRegressor:
    """A symmetric network, its outputs scaled to the motions it is going to see, or as another's are."""
    if like is not None:
        spread, mean = like.motion_scale, like.bin_centre
    else:
        motions = np.concatenate([cache.motions, MIRROR_SIGNS * cache.motions])
        spread, mean = (tuple(map(float, figure)) for figure in (motions.std(axis=0), motions.mean(axis=0)))
    network = PoseRegressor(replace(shape, motion_scale=spread, bin_centre=mean))
    symmetrise(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(math.sqrt(2))  # means of two by chance are smaller by so much
    return network


@torch.no_grad()
def symmetrise(network: PoseRegressor) -> None:
    """Make each weight the mean of itself and its mirror image."""
    for weight, mirrored in _in_mirror(network):
        weight.add_(mirrored).div_(2)


def _in_mirror(network: PoseRegressor) -> Iterator[tuple[Tensor, Tensor]]:
    """All weights and biases, and their mirror images."""
    settings, signs = network.settings, torch.from_numpy(MIRROR_SIGNS).to(network.motion_scale)
    is_flow = FRONT_ENDS[settings.front_end].is_flow  # u, v, u, ...: each u changes its sign
    of_seen = signs.new_tensor([-1.0, 1.0] * (CHANNELS // 2) if is_flow else [1.0] * CHANNELS)
    for layer in (part for part in network.encoder if isinstance(part, nn.Conv2d)):
        outputs, columns = _halves(layer.out_channels), _Side((layer.kernel_size[1],), (0,))
        weight, inputs = layer.weight, _halves(layer.in_channels)
        if layer is network.encoder[0]:
            weight, inputs = weight * of_seen[:, None, None], _as_they_are(layer.in_channels)
        yield layer.weight, _mirrored(weight, outputs, inputs, _as_they_are(layer.kernel_size[0]), columns)
        yield layer.bias, _mirrored(layer.bias, outputs)
    channels, *grid = settings.features
    inputs = _Side((2, channels // 2, *grid), (0, 3))
    if network.skip is not None:
        yield from _of_linear(network.skip, _halves(settings.lstm_width), inputs)
    for number in range(settings.lstm_layers):
        state = _halves(settings.lstm_width)
        gates = _Side((4, *state.shape), (1,))
        for kind, of in (("ih", inputs), ("hh", state)):
            weight, bias = (getattr(network.lstm, f"{name}_{kind}_l{number}") for name in ("weight", "bias"))
            yield weight, _mirrored(weight, gates, of)
            yield bias, _mirrored(bias, gates)
        inputs = state
    for layer, *_ in network.fully_connected:
        yield from _of_linear(layer, _halves(layer.out_features), inputs)
        inputs = _halves(layer.out_features)
    yield from _of_linear(network.log_sigma, _as_they_are(MOTION), inputs)
    if network.motion is not None:
        (weight, mirrored), (bias, _) = _of_linear(network.motion, _as_they_are(MOTION), inputs)
        yield weight, signs[:, None] * mirrored
        yield bias, signs * bias
    if network.logits is not None:
        order = torch.arange(MOTION * settings.bins, device=signs.device).reshape(MOTION, -1)
        order = torch.where(signs[:, None] < 0, order.flip(1), order).flatten()
        for part, mirrored in _of_linear(network.logits, _as_they_are(len(order)), inputs):
            yield part, mirrored[order]


class _Side(NamedTuple):
    """One dimension of a weight: the shape it has when taken apart, and what of that a mirror flips."""

    shape: tuple[int, ...]
    flips: tuple[int, ...]


def _halves(count: int) -> _Side:
    """Two halves that change places."""
    return _Side((2, count // 2), (0,))


def _as_they_are(count: int) -> _Side:
    return _Side((count,), ())


def _mirrored(weight: Tensor, *sides: _Side) -> Tensor:
    """The weight in a mirror; sides: its dimensions."""
    shape, flips = [], []
    for side in sides:
        flips += [len(shape) + flip for flip in side.flips]
        shape += side.shape
    return weight.reshape(shape).flip(flips).reshape(weight.shape)


def _of_linear(layer: nn.Linear, outputs: _Side, inputs: _Side) -> Iterator[tuple[Tensor, Tensor]]:
    yield layer.weight, _mirrored(layer.weight, outputs, inputs)
    yield layer.bias, _mirrored(layer.bias, outputs)
