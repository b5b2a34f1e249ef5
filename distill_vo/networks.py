"""The pose regressor: front-end input of two frames in, relative camera motion out.

Teacher and students are settings of one network: convolutions -> (LSTM) -> fully connected layers ->
motion and sigma. Source: the DeepVO / ESP-VO family as used by "Distilling Knowledge From a Deep Pose
Regressor Network", ICCV 2019; the flow-grid variants and all widths are this project's.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from distill_vo.frontend import FRONT_ENDS

MOTION = 6  # tx, ty, tz in metres, rx, ry, rz rotation vector in radians, camera optical axes


@dataclass(frozen=True)
class NetworkSettings:
    """A pose regressor's shape. Everything that is needed to build it and nothing more."""

    front_end: Literal["dense_flow", "stacked_frames"]
    convolutions: tuple[tuple[int, int, int], ...]  # (kernel side, stride, channels) each
    fully_connected: tuple[int, ...]  # widths of the layers before the output layer
    hint_layer: int  # which fully connected layer (1 is the first) is hint or guided layer
    lstm_layers: int = 0  # 0: no recurrence, no state
    lstm_width: int = 0
    dropout: float = 0.0
    input_offset: float = 0.0  # subtracted from the input
    input_scale: float = 1.0  # what the input is divided by then
    motion_scale: tuple[float, ...] = (1.0,) * MOTION  # what the raw outputs are multiplied by


class Regression(NamedTuple):
    """What the network says of each pair of frames; leading dimensions are those of the input."""

    motion: Tensor  # (..., 6) metres and radians
    log_sigma: Tensor  # (..., 6) log of the motion's standard deviation, metres and radians
    hint: Tensor  # (..., width) output of the hint layer
    state: tuple[Tensor, Tensor] | None  # the LSTM's, to be handed to the next call


class PoseRegressor(nn.Module):
    """Input (batch, channels, rows, columns), or (batch, time, channels, ...) with an LSTM."""

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        self.settings = settings
        channels, rows, columns = FRONT_ENDS[settings.front_end].shape
        layers: list[nn.Module] = []
        for kernel, stride, width in settings.convolutions:
            layers += [nn.Conv2d(channels, width, kernel, stride, kernel // 2), nn.LeakyReLU(0.1)]
            channels, rows, columns = width, math.ceil(rows / stride), math.ceil(columns / stride)
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        features = channels * rows * columns
        self.lstm = None
        if settings.lstm_layers:
            self.lstm = nn.LSTM(features, settings.lstm_width, settings.lstm_layers,
                                batch_first=True)
            features = settings.lstm_width
        self.fully_connected = nn.ModuleList()
        for width in settings.fully_connected:
            self.fully_connected.append(nn.Sequential(
                nn.Linear(features, width), nn.LeakyReLU(0.1), nn.Dropout(settings.dropout)))
            features = width
        self.motion = nn.Linear(features, MOTION)
        self.log_sigma = nn.Linear(features, MOTION)
        self.register_buffer("motion_scale", torch.tensor(settings.motion_scale), persistent=False)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> Regression:
        lead = x.shape[:-3]
        x = (x.reshape(-1, *x.shape[-3:]) - self.settings.input_offset) / self.settings.input_scale
        x = self.encoder(x)
        x = x.reshape(*lead, -1)
        if self.lstm is not None:
            x, state = self.lstm(x, state)
        hint = x
        for number, layer in enumerate(self.fully_connected, start=1):
            x = layer(x)
            if number == self.settings.hint_layer:
                hint = x
        # Sigma reads the features but does not shape them: it says what error to expect.
        log_sigma = self.log_sigma(x.detach()) + self.motion_scale.log()
        return Regression(self.motion(x) * self.motion_scale, log_sigma, hint, state)


def count_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())
