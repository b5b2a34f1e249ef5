"""A network that was made symmetric says of a mirror image the mirrored motion, whatever its weights are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import mirrored

from distill_vo import geometry
from distill_vo.networks import MIRROR_SIGNS, NetworkSettings, PoseRegressor
from training.mirror import symmetrise

FLOW = NetworkSettings("dense_flow", ((3, 1, 4), (2, 2, 6), (4, 2, 8)), (10, 6, 8), hint_layer=2,
                       motion_scale=(0.1, 0.1, 0.5, 0.01, 0.02, 0.01), bins=5)
RECURRENT = replace(FLOW, lstm_layers=2, lstm_width=6, lstm_skip=True)
CLASSIFIER = replace(FLOW, motion_from_bins=True)
FRAMES = NetworkSettings("stacked_frames", ((16, 16, 4), (4, 4, 6)), (4,), hint_layer=1, input_scale=64.0)


@pytest.mark.parametrize("settings", [FLOW, RECURRENT, CLASSIFIER, FRAMES])
def test_a_mirror_image_moves_mirrored(settings):
    torch.manual_seed(0)
    network = PoseRegressor(settings).eval()
    symmetrise(network)
    shape = (2, 3, 6, 192, 640) if settings is FRAMES else (2, 3, 4, 12, 40)
    x = np.random.default_rng(0).normal(0, 5, shape).astype(np.float32)
    with torch.inference_mode():
        said, of_mirrored = (network(torch.from_numpy(seen)) for seen in (x, mirrored(x)))
    signs = torch.from_numpy(MIRROR_SIGNS).float()
    assert said.motion[..., signs < 0].abs().min() > 0
    scale = torch.tensor(settings.motion_scale)
    torch.testing.assert_close(of_mirrored.motion / scale, signs * said.motion / scale, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(of_mirrored.log_sigma, said.log_sigma)
    half = said.hint.shape[-1] // 2
    torch.testing.assert_close(of_mirrored.hint, said.hint.roll(half, -1), rtol=1e-4, atol=1e-5)


def test_mirrored_motion_is_the_motion_reflected_at_the_vertical_plane():
    p = np.array([0.1, 0.2, 0.9, 0.01, 0.05, -0.02])
    reflection = np.diag([-1.0, 1, 1, 1])
    np.testing.assert_allclose(geometry.from_motion(MIRROR_SIGNS * p),
                               reflection @ geometry.from_motion(p) @ reflection, atol=1e-15)


def test_what_is_symmetric_stays_as_it_is():
    torch.manual_seed(0)
    network = PoseRegressor(RECURRENT)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    symmetrise(network)
    once = {name: weight.clone() for name, weight in network.state_dict().items()}
    symmetrise(network)
    for name, weight in network.named_parameters():
        assert torch.equal(weight, before[name]) == (name == "log_sigma.bias"), name
        torch.testing.assert_close(weight, once[name], rtol=0, atol=0)
