"""Networks that lean to no side: what one says of a mirror image is the mirrored motion, to rounding.

The channels and outputs of each layer are two halves that change places in a mirror. Weights with which that
is so are a linear subspace: training begins in it, and goes back to its nearest point after each step. Were
mirror images only among what is learned from, chance would still make a network lean to one side.
Source: Cohen, Welling, "Group Equivariant Convolutional Networks", ICML 2016, of the group of two elements.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from distill_vo.frontend import FRONT_ENDS
from distill_vo.networks import CHANNELS, MIRROR_SIGNS, MOTION, NetworkSettings, PoseRegressor
from training.data.cache import PairCache


def untrained(shape: NetworkSettings, cache: PairCache) -> PoseRegressor:
    """A symmetric network, its outputs scaled to the motions it is going to see."""
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
    for weight, mirrored in _mirrored(network):
        weight.add_(mirrored).div_(2)


def _mirrored(network: PoseRegressor) -> Iterator[tuple[Tensor, Tensor]]:
    """All weights and biases, and their mirror images."""
    settings = network.settings
    signs = torch.from_numpy(MIRROR_SIGNS).to(network.motion_scale)
    is_flow = FRONT_ENDS[settings.front_end].is_flow  # u, v, u, ...: each u changes its sign
    of_seen = signs.new_tensor([-1.0, 1.0] * (CHANNELS // 2) if is_flow else [1.0] * CHANNELS)
    for layer in (part for part in network.encoder if isinstance(part, nn.Conv2d)):
        is_first, flipped = layer is network.encoder[0], layer.weight.flip(-1)
        flipped = flipped * of_seen[:, None, None] if is_first else flipped[:, _halves(layer.in_channels)]
        yield layer.weight, flipped[_halves(layer.out_channels)]
        yield layer.bias, layer.bias[_halves(layer.out_channels)]
    channels, rows, columns = settings.features
    inputs = torch.arange(channels * rows * columns).reshape(settings.features)
    inputs = inputs[_halves(channels)].flip(-1).flatten()
    if network.skip is not None:
        yield from _of_linear(network.skip, _halves(settings.lstm_width), inputs)
    for number in range(settings.lstm_layers):
        state = _halves(settings.lstm_width)
        gates = torch.arange(4 * len(state)).reshape(4, -1)[:, state].flatten()
        for kind, of in (("ih", inputs), ("hh", state)):
            weight, bias = (getattr(network.lstm, f"{name}_{kind}_l{number}") for name in ("weight", "bias"))
            yield weight, weight[gates][:, of]
            yield bias, bias[gates]
        inputs = state
    for layer, *_ in network.fully_connected:
        yield from _of_linear(layer, _halves(layer.out_features), inputs)
        inputs = _halves(layer.out_features)
    yield from _of_linear(network.log_sigma, torch.arange(MOTION), inputs)
    if network.motion is not None:
        yield network.motion.weight, signs[:, None] * network.motion.weight[:, inputs]
        yield network.motion.bias, signs * network.motion.bias
    if network.logits is not None:
        bins = torch.arange(MOTION * settings.bins).reshape(MOTION, -1)
        bins = torch.where(signs.cpu()[:, None] < 0, bins.flip(1), bins).flatten()
        yield from _of_linear(network.logits, bins, inputs)


def _halves(count: int) -> Tensor:
    """Which of so many channels or outputs is in the place of each, in a mirror."""
    return torch.arange(count).roll(count // 2)


def _of_linear(layer: nn.Linear, outputs: Tensor, inputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    yield layer.weight, layer.weight[outputs][:, inputs]
    yield layer.bias, layer.bias[outputs]
