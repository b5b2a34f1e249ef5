"""The pose regressor: front-end input of two frames in, relative camera motion out.

Teacher and students are settings of one network: convolutions -> (LSTM) -> fully connected layers ->
motion and sigma. Source: the DeepVO / ESP-VO family as used by "Distilling Knowledge From a Deep Pose
Regressor Network", ICCV 2019; the flow-grid variants and all widths are this project's.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from distill_vo.errors import InputError
from distill_vo.frame import ROAD_PIXEL_M
from distill_vo.frontend import FRONT_ENDS, SEEN

LEAK = 0.1  # slope of the rectifiers below zero
SIGMA_FLOOR = -4.0  # log of the smallest sigma, in motion_scale: nothing is measured to the last digit
BIN_RANGE = 3.0  # motion_scale to either side
MOST_LSTM_LAYERS = 8
LARGEST_KERNEL = 16  # a small file could ask for much memory otherwise
CHANNELS = 6  # that the encoder sees, of either front end
NEAR_ROAD = slice(6, None), slice(6, 34)  # rows and columns: 18 to 6 m ahead, 4 m to either side
SHORTEST_UNIT_M = 0.2
MOST_IN_UNITS = 8.0  # what is seen in that unit ends there: turns and traffic while the car stands
MOTION = 6  # tx, ty, tz in metres, rx, ry, rz rotation vector in radians, camera optical axes
YAW = 4  # of them
# A motion seen in a mirror to the side: what points or turns sideways changes sign.
MIRROR_SIGNS = np.array([-1.0, 1.0, 1.0, 1.0, -1.0, -1.0])


@dataclass(frozen=True)
class NetworkSettings:
    """A pose regressor's shape. Everything that is needed to build it and nothing more.

    What it makes of a mirror image can be the mirror image of what it makes (training/mirror.py): so kernels
    lie the same from the left and from the right, and widths are even.
    """

    front_end: Literal["dense_flow", "fine_flow", "stacked_frames"]
    convolutions: tuple[tuple[int, int, int], ...]  # (kernel side, stride, channels) each
    fully_connected: tuple[int, ...]  # widths of the layers before the output layer
    hint_layer: int  # which fully connected layer (1 is the first) is hint or guided layer
    lstm_layers: int = 0  # 0: no recurrence, no state
    lstm_width: int = 0
    lstm_skip: bool = False  # the LSTM adds to what one pair says, instead of all going through it
    dropout: float = 0.0
    input_offset: float = 0.0  # subtracted from stacked frames
    input_scale: float = 1.0  # what the input, of dense flow the view's, is divided by then
    motion_scale: tuple[float, ...] = (1.0,) * MOTION  # what the raw outputs are multiplied by
    bins: int = 0  # of each axis of the motion, from -3 to 3 motion_scale about bin_centre; 0: none
    bin_centre: tuple[float, ...] = (0.0,) * MOTION
    motion_from_bins: bool = False  # a classifier: the motion is the mean over its bins

    def __post_init__(self):
        """Raises InputError for what no network can be built of."""
        sizes = [size for layer in self.convolutions for size in layer] + list(self.fully_connected)
        finite = (self.input_offset, *self.bin_centre)
        front_end = FRONT_ENDS[self.front_end]
        for is_met, rule in (
                (self.convolutions and all(size > 0 for size in sizes),
                 "there are convolutions, and they and fully_connected are positive"),
                (all(k >= s and (k - s) % 2 == 0 and w % 2 == 0 for k, s, w in self.convolutions),
                 "kernels are as large as their stride or larger by an even number, and channels even"),
                (all(kernel <= LARGEST_KERNEL for kernel, _, _ in self.convolutions),
                 f"kernels are at most {LARGEST_KERNEL}"),
                (all(size % max(1, self.stride) == 0 for size in front_end.shape[1:]),
                 "{} rows and {} columns can be divided by all strides".format(*front_end.shape[1:])),
                (all(width % 2 == 0 for width in (*self.fully_connected, self.lstm_width)),
                 "fully_connected and lstm_width are even"),
                (1 <= self.hint_layer <= len(self.fully_connected), "hint_layer is one of fully_connected"),
                (0 <= self.lstm_layers <= MOST_LSTM_LAYERS, f"lstm_layers is 0 to {MOST_LSTM_LAYERS}"),
                (self.lstm_width > 0 or not self.lstm_layers, "lstm_width is positive with an LSTM"),
                (0 <= self.dropout < 1, "dropout is 0 or more and less than 1"),
                (self.bins >= 0 and (self.bins or not self.motion_from_bins), "bins are there when used"),
                (len(self.motion_scale) == len(self.bin_centre) == MOTION,
                 f"motion_scale and bin_centre have {MOTION} numbers"),
                (all(0 < scale < math.inf for scale in (self.input_scale, *self.motion_scale)),
                 "input_scale and motion_scale are positive"),
                (all(map(math.isfinite, finite)), "input_offset and bin_centre are finite"),
                (not front_end.is_flow or not self.input_offset, "input_offset of flow is 0")):
            if not is_met:
                raise InputError(f"network settings: see to it that {rule}.")

    @property
    def hint_width(self) -> int:
        return self.fully_connected[self.hint_layer - 1]

    @property
    def stride(self) -> int:
        """Of all convolutions together."""
        return math.prod(stride for _, stride, _ in self.convolutions)

    @property
    def features(self) -> tuple[int, int, int]:
        """Channels, rows and columns of what the convolutions make of the input."""
        rows, columns = FRONT_ENDS[self.front_end].shape[1:]
        return self.convolutions[-1][2], rows // self.stride, columns // self.stride

    @property
    def weights(self) -> int:
        """How many there are in the layers whose size is set here, without biases."""
        count, channels, features = 0, CHANNELS, math.prod(self.features)
        for kernel, _, width in self.convolutions:
            count += channels * kernel**2 * width
            channels = width
        count += features * self.lstm_width * self.lstm_skip
        for _ in range(self.lstm_layers):
            count += 4 * self.lstm_width * (features + self.lstm_width)
            features = self.lstm_width
        for width in self.fully_connected:
            count += features * width
            features = width
        return count + features * MOTION * self.bins


class Regression(NamedTuple):
    """What the network says of each pair of frames; leading dimensions are those of the input."""

    motion: Tensor  # (..., 6) metres and radians
    log_sigma: Tensor  # (..., 6) log of the motion's standard deviation, metres and radians
    hint: Tensor  # (..., width) output of the hint layer
    logits: Tensor | None  # (..., 6, bins) of the binned motion
    state: tuple[Tensor, Tensor] | None  # the LSTM's, to be handed to the next call

    def in_numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Motions and sigmas (..., 6) float64."""
        return tuple(part.double().cpu().numpy() for part in (self.motion, self.log_sigma.exp()))


class PoseRegressor(nn.Module):
    """Input (batch, channels, rows, columns), or ([batch,] time, channels, ...) with an LSTM."""

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        self.settings = settings
        layers, channels, features = [], CHANNELS, math.prod(settings.features)
        for kernel, stride, width in settings.convolutions:
            padding = (kernel - stride) // 2
            layers += [nn.Conv2d(channels, width, kernel, stride, padding), nn.LeakyReLU(LEAK)]
            channels = width
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        self.lstm = self.skip = None
        if settings.lstm_layers:
            self.lstm = nn.LSTM(features, settings.lstm_width, settings.lstm_layers, batch_first=True)
            if settings.lstm_skip:
                self.skip = nn.Linear(features, settings.lstm_width)
            features = settings.lstm_width
        self.fully_connected = nn.ModuleList()
        for width in settings.fully_connected:
            self.fully_connected.append(nn.Sequential(
                nn.Linear(features, width), nn.LeakyReLU(LEAK), nn.Dropout(settings.dropout)))
            features = width
        self.motion = None if settings.motion_from_bins else nn.Linear(features, MOTION)
        self.log_sigma = nn.Linear(features, MOTION)
        self.logits = nn.Linear(features, MOTION * settings.bins) if settings.bins else None
        scale, centre = torch.tensor(settings.motion_scale), torch.tensor(settings.bin_centre)
        steps = torch.linspace(-BIN_RANGE, BIN_RANGE, settings.bins)
        self.register_buffer("motion_scale", scale, persistent=False)
        # Translations are told in a unit, rotations are not.
        self.register_buffer("unit_power", torch.tensor([1.0] * 3 + [0.0] * 3), persistent=False)
        self.register_buffer("bin_values", centre[:, None] + scale[:, None] * steps, persistent=False)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> Regression:
        lead = x.shape[:-3]
        x, unit = self._scaled(x.reshape(-1, *x.shape[-3:]))
        x, unit = self.encoder(x).reshape(*lead, -1), unit.reshape(*lead, MOTION)
        if self.lstm is not None:
            past, state = self.lstm(x, state)
            x = past if self.skip is None else self.skip(x) + past
        hint = x
        for number, layer in enumerate(self.fully_connected, start=1):
            x = layer(x)
            if number == self.settings.hint_layer:
                hint = x
        # What only describes the motion reads the features but does not shape them.
        unit = unit * self.motion_scale
        log_sigma = SIGMA_FLOOR + softplus(self.log_sigma(x.detach())) + unit.log()
        if self.settings.motion_from_bins:
            logits = self.logits(x).unflatten(-1, (MOTION, -1))
            motion = (torch.softmax(logits, -1) * self.bin_values).sum(-1)
        else:
            logits = self.logits and self.logits(x.detach()).unflatten(-1, (MOTION, -1))
            motion = self.motion(x) * unit
        return Regression(motion, log_sigma, hint, logits, state)

    def _scaled(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the front end gives (N, ...) -> what the encoder sees, and the unit (N, 6) of what it says.

        Dense flow's translations are told in units of how far the near road moved, and flow is seen in that
        unit too: what was learned at one speed holds at every other, and where the network is in doubt it
        does not fall back on the usual speed.
        """
        if not FRONT_ENDS[self.settings.front_end].is_flow:
            x = (x - self.settings.input_offset) / self.settings.input_scale
            return x, x.new_ones(len(x), MOTION)
        view, road = x[:, :2] / self.settings.input_scale, x[:, 2:SEEN] * ROAD_PIXEL_M
        moved = road[:, 1][:, NEAR_ROAD[0], NEAR_ROAD[1]].flatten(1).median(1).values
        unit = moved.abs().clamp(min=SHORTEST_UNIT_M)[:, None]
        in_units = (torch.cat([view, road], 1) / unit[..., None, None]).clamp(-MOST_IN_UNITS, MOST_IN_UNITS)
        return torch.cat([view, in_units], 1), unit ** self.unit_power

    def labels(self, motion: Tensor) -> Tensor:
        """The bin each axis of a motion (..., 6) falls into: (..., 6) int64."""
        return (motion[..., None] - self.bin_values).abs().argmin(-1)

    def guided_part(self) -> list[nn.Module]:
        """The layers up to and including the hint or guided layer."""
        lstm = [part for part in (self.lstm, self.skip) if part is not None]
        return [self.encoder, *lstm, *self.fully_connected[:self.settings.hint_layer]]


def count_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())
