"""What a network says, with as few calls as there are layers.

To a network as small as a student's, modules and tensors of a few numbers take longer than its sums: so what
is done before and after the layers is done in NumPy, and the layers' functions are called by themselves. It
gives what PoseRegressor.forward gives, to rounding; the reasons are told there.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv2d, leaky_relu, linear

from distill_vo.frame import ROAD_PIXEL_M
from distill_vo.frontend import FRONT_ENDS, SEEN
from distill_vo.networks import (
    LEAK,
    MOST_IN_UNITS,
    MOTION,
    NEAR_ROAD,
    SHORTEST_UNIT_M,
    SIGMA_FLOOR,
    PoseRegressor,
)


class Inference:
    """A network that has learned, without LSTM, on its device; its weights must not change any more."""

    @torch.no_grad()
    def __init__(self, network: PoseRegressor):
        self._settings = network.settings
        self._convolutions = [(layer.weight, layer.bias, layer.stride, layer.padding)
                              for layer in network.encoder if isinstance(layer, nn.Conv2d)]
        self._linear = [(layer[0].weight, layer[0].bias) for layer in network.fully_connected]
        head = network.logits if self._settings.motion_from_bins else network.motion
        self._head = (torch.cat([network.log_sigma.weight, head.weight]),
                      torch.cat([network.log_sigma.bias, head.bias]))
        flow_scale = [1 / self._settings.input_scale] * 2 + [ROAD_PIXEL_M] * 2
        self._flow_scale = np.array(flow_scale, np.float32)[:, None, None]
        self._motion_scale = network.motion_scale.cpu().numpy()
        self._bin_values = network.bin_values.cpu().numpy()

    @torch.inference_mode()
    @np.errstate(over="ignore")
    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Front-end output (N, C, H, W) -> motions and sigmas (N, 6) float64, metres and radians."""
        x, unit = self._scaled(x)
        x = torch.from_numpy(x).to(self._head[0].device)
        for layer in self._convolutions:
            x = leaky_relu(conv2d(x, *layer), LEAK, inplace=True)
        x = x.flatten(1)
        for layer in self._linear:
            x = leaky_relu(linear(x, *layer), LEAK, inplace=True)
        said = linear(x, *self._head).cpu().numpy()
        log_sigma, motion = said[:, :MOTION], said[:, MOTION:]
        unit = unit * self._motion_scale
        sigma = math.exp(SIGMA_FLOOR) * (1 + np.exp(log_sigma)) * unit  # e to the softplus
        if self._settings.motion_from_bins:
            logits = motion.reshape(-1, *self._bin_values.shape)
            likely = np.exp(logits - logits.max(-1, keepdims=True))
            motion = (likely * self._bin_values).sum(-1) / likely.sum(-1)
        else:
            motion = motion * unit
        return motion.astype(float), sigma.astype(float)

    def _scaled(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `PoseRegressor._scaled`."""
        settings = self._settings
        if not FRONT_ENDS[settings.front_end].is_flow:
            x = (x - np.float32(settings.input_offset)) / np.float32(settings.input_scale)
            return x, np.ones((len(x), MOTION), np.float32)
        x = x[:, :SEEN] * self._flow_scale
        near = x[:, 3, NEAR_ROAD[0], NEAR_ROAD[1]].reshape(len(x), -1)
        middle = (near.shape[1] - 1) // 2  # the lower of the two medians
        moved = np.abs(np.partition(near, middle)[:, middle:middle + 1])
        unit = np.maximum(moved, np.float32(SHORTEST_UNIT_M))
        in_units = np.minimum(np.maximum(x / unit[..., None, None], -MOST_IN_UNITS), MOST_IN_UNITS)
        return (np.concatenate([x[:, :2], in_units], axis=1),
                np.concatenate([unit.repeat(3, axis=1), np.ones((len(x), 3), np.float32)], axis=1))
