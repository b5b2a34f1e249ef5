"""One function an equation: objectives of "Distilling Knowledge From a Deep Pose Regressor Network".

Motions are (..., 6) tensors, metres and radians. Every loss is per sample, (...); the mean is taken by
whoever minimises it. The rotation weight w makes ||p||^2 = ||t||^2 + w ||r||^2 (m^2; w in m^2/rad^2).
"""

import torch
from torch import Tensor


def squared_error(p: Tensor, q: Tensor, rotation_weight: float) -> Tensor:
    """|| p - q ||^2 with the one weight between rotation and translation."""
    d = (p - q).square()
    return d[..., :3].sum(-1) + rotation_weight * d[..., 3:].sum(-1)


def sigma_error(p: Tensor, q: Tensor, log_sigma: Tensor) -> Tensor:
    """Negative log-likelihood of the errors (..., 6) under standard deviations exp(log_sigma).

    The error is a constant here: sigma learns how large it is, without a say in making it.
    """
    return ((p - q).detach().square() * torch.exp(-2 * log_sigma) / 2 + log_sigma).sum(-1)
