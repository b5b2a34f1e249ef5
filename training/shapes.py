"""Teachers and students as shapes: what the method prescribes, and widths that follow from a rate.

The rate d of distillation is the share of the teacher's parameters that the student does without. The
teacher's hint is its first fully connected layer; the student's guided layer, of the same width, is its
third, or the second where less than 75 % is removed. Layer widths are this project's own.
"""

from dataclasses import replace

import torch

from distill_vo.errors import InputError
from distill_vo.frontend import FRONT_ENDS
from distill_vo.networks import NetworkSettings, PoseRegressor, count_parameters

RATES = (0.73, 0.80, 0.85, 0.90, 0.9295)  # what the paper spans
RATE_BOUNDS = 0.5, 0.98
TOLERANCE = 0.002  # of the teacher's parameters, by which a student may miss its rate

BINS = 61  # of each axis, where motions are classified

# The method's dropout is kept for whole frames. On the flow grid it drowns what little flow a roll or a pitch
# makes: with 0.25 neither was learned at all.
TEACHERS = {
    "dense_flow": NetworkSettings(
        "dense_flow", ((3, 1, 32), (2, 2, 64), (2, 2, 96), (3, 1, 128)), (256, 128), hint_layer=1,
        lstm_layers=2, lstm_width=320, lstm_skip=True, input_scale=8.0),
    # The encoder is FlowNet-S's, as in DeepVO and ESP-VO, but for strided kernels wider by one, which lie the
    # same from the left and from the right; the LSTM's width makes 33 M of the whole.
    "stacked_frames": NetworkSettings(
        "stacked_frames", ((8, 2, 64), (6, 2, 128), (6, 2, 256), (3, 1, 256), (4, 2, 512), (3, 1, 512),
                           (4, 2, 512), (3, 1, 512), (4, 2, 1024)), (256, 128), hint_layer=1,
        lstm_layers=2, lstm_width=92, dropout=0.25, input_offset=128.0, input_scale=64.0),
}

# Students before their widths are fitted: no LSTM, the last convolutions gone, more fully connected layers.
STUDENT_CONVOLUTIONS = {
    "dense_flow": ((3, 1, 16), (2, 2, 32), (2, 2, 96)),
    "stacked_frames": ((8, 2, 32), (6, 2, 64), (6, 2, 128), (4, 2, 128), (4, 2, 256), (4, 2, 256)),
}


def student(teacher: NetworkSettings, rate: float) -> NetworkSettings:
    """The student that has (1 - rate) of the teacher's parameters, by widths found by bisection.

    Bins, which only describe motions, count on neither side; a classifier's come on top. Raises InputError
    for a rate that leaves nothing, or too little for the fixed layers.
    """
    least, most = RATE_BOUNDS
    if not least <= rate <= most:
        raise InputError(f"rate {rate}: is not between {least} and {most}; the paper spans {RATES[0]} to "
                         f"{RATES[-1]}.")
    teacher = replace(teacher, bins=0)
    target, sees = (1 - rate) * parameters(teacher), FRONT_ENDS[teacher.front_end].networks_see
    guided = 2 if rate < 0.75 else 3

    def scaled(factor: float) -> NetworkSettings:
        def width(of: int) -> int:
            return 2 * max(1, round(of * factor / 2))

        convolutions = tuple((k, s, width(c)) for k, s, c in STUDENT_CONVOLUTIONS[sees])
        before = (width(128),) * (guided - 1)
        return replace(teacher, convolutions=convolutions, fully_connected=(*before, teacher.hint_width, 64),
                       hint_layer=guided, lstm_layers=0, lstm_width=0, lstm_skip=False)

    low, high = 0.01, 50.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if parameters(scaled(middle)) < target else (low, middle)
    # Widths are even numbers: what is still missing goes into the first fully connected layer.
    settings = scaled(low)
    first = settings.fully_connected[0]
    best = min(range(max(2, first - 8), first + 9, 2), key=lambda n: abs(
        parameters(_with_first(settings, n)) - target))
    settings = _with_first(settings, best)
    missed = abs(parameters(settings) - target) / parameters(teacher)
    assert missed < TOLERANCE, f"rate {rate} missed by {missed:.2%}"
    return settings


def _with_first(settings: NetworkSettings, width: int) -> NetworkSettings:
    return replace(settings, fully_connected=(width, *settings.fully_connected[1:]))


def parameters(settings: NetworkSettings) -> int:
    """How many parameters a network of this shape has, without allocating any."""
    with torch.device("meta"):
        return count_parameters(PoseRegressor(settings))
