"""What a network says, on a CPU and without PyTorch.

To a network as small as a student's, PyTorch's calls take longer than its sums: here it is a dozen matrix
products in NumPy. It gives what PoseRegressor.forward gives, to rounding; the reasons are told there.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided
from torch import Tensor, nn

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

# Larger matrices OpenBLAS would multiply with a vector by several threads; with others only if far larger.
ONE_THREAD = 9000


class Inference:
    """A network that has learned, without LSTM; its weights must not change any more."""

    def __init__(self, network: PoseRegressor):
        self._settings = settings = network.settings
        self._convolutions = [_Convolution(part) for part in network.encoder if isinstance(part, nn.Conv2d)]
        # Features come row by row, not channel by channel.
        order = np.arange(math.prod(settings.features)).reshape(settings.features).transpose(1, 2, 0).ravel()
        first, *others = (layer for layer, *_ in network.fully_connected)
        self._linear = [_Linear(first, order), *map(_Linear, others)]
        head = network.logits if settings.motion_from_bins else network.motion
        self._sigma_head, self._head = _Linear(network.log_sigma), _Linear(head)
        flow_scale = [1 / settings.input_scale] * 2 + [ROAD_PIXEL_M] * 2
        self._flow_scale = np.array(flow_scale, np.float32)[:, None, None]
        self._motion_scale = _numbers(network.motion_scale)
        self._bin_values = _numbers(network.bin_values)

    @np.errstate(over="ignore", invalid="ignore")
    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Front-end output (N, C, H, W) -> motions and sigmas (N, 6) float64, metres and radians."""
        x, unit = self._scaled(x)
        x = x.transpose(0, 2, 3, 1)
        for layer in (*self._convolutions, *self._linear):
            x = layer(x)
            x = np.maximum(x, LEAK * x, out=x)
        log_sigma, motion = self._sigma_head(x), self._head(x)
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


class _Convolution:
    """Of (N, rows, columns, channels): each row of what it gives is one product of matrices."""

    def __init__(self, layer: nn.Conv2d):
        self._kernel, self._stride, self._padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
        self._weight = _numbers(layer.weight).transpose(2, 3, 1, 0).reshape(-1, layer.out_channels)
        self._bias = _numbers(layer.bias)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        kernel, stride, around = self._kernel, self._stride, 2 * (self._padding,)
        if self._padding:
            x = np.pad(x, ((0, 0), around, around, (0, 0)))
        (count, rows, columns, channels), (pair, row, column, channel) = x.shape, x.strides
        grid = (rows - kernel) // stride + 1, (columns - kernel) // stride + 1
        windows = as_strided(x, (count, *grid, kernel, kernel, channels),
                             (pair, stride * row, stride * column, row, column, channel))
        return windows.reshape(count, *grid, -1) @ self._weight + self._bias


class _Linear:
    """Of (N, ...), in parts that take one thread."""

    def __init__(self, layer: nn.Linear, order: np.ndarray | slice = slice(None)):
        """order (inputs,): in which the layer's inputs come."""
        at_once = max(1, ONE_THREAD // layer.in_features)
        rows = max(n for n in range(1, at_once + 1) if layer.out_features % n == 0)
        self._weight = _numbers(layer.weight)[:, order].reshape(-1, rows, layer.in_features).copy()
        self._bias = _numbers(layer.bias)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (self._weight @ x.reshape(len(x), 1, -1, 1)).reshape(len(x), -1) + self._bias


def _numbers(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()
