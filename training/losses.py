"""One function an equation of "Distilling Knowledge From a Deep Pose Regressor Network", ICCV 2019.

Everything is per sample, (...); the mean over samples is taken by whoever minimises it. Motions are
(..., 6), metres and radians. The three losses all else is made of are

    s_i = || p_S - p_gt ||^2   m_i = || p_S - p_T ||^2   e_i = || p_T - p_gt ||^2

each a `squared_error`, with one weight between rotation and translation. alpha is the share of s_i.
"""

import torch
from torch import Tensor


def squared_error(p: Tensor, q: Tensor, rotation_weight: float) -> Tensor:
    """|| p - q ||^2 = || t ||^2 + w || r ||^2 in m^2, w = rotation_weight in m^2/rad^2."""
    d = (p - q).square()
    return d[..., :3].sum(-1) + rotation_weight * d[..., 3:].sum(-1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """logits (..., 6, bins), labels (..., 6) int64; summed over the axes."""
    return -torch.log_softmax(logits, -1).gather(-1, labels[..., None]).sum((-1, -2))


def soft_target(logits_s: Tensor, labels: Tensor, logits_t: Tensor, alpha: float,
                temperature: float) -> Tensor:
    """Eq. 1, distillation of classifiers, on motions binned per axis.

    logits (..., 6, bins), labels (..., 6) int64. The soft part is multiplied by temperature^2, which
    keeps its gradients as large as the hard part's (Hinton et al., 2015).
    """
    soft_t = torch.softmax(logits_t / temperature, -1)
    soft = -(soft_t * torch.log_softmax(logits_s / temperature, -1)).sum((-1, -2))
    return alpha * cross_entropy(logits_s, labels) + (1 - alpha) * temperature**2 * soft


def minimum(s: Tensor, m: Tensor) -> Tensor:
    """Eq. 2: whichever is nearer, the truth or the teacher."""
    return torch.minimum(s, m)


def additional(s: Tensor, m: Tensor, alpha: float) -> Tensor:
    """Eq. 3: the imitation loss as a second term."""
    return alpha * s + (1 - alpha) * m


def upper_bound(s: Tensor, m: Tensor, e: Tensor, alpha: float) -> Tensor:
    """Eq. 4 and 5: imitate only while the student is worse than the teacher."""
    return alpha * s + (1 - alpha) * torch.where(s > e, m, torch.zeros_like(m))


def probabilistic(s: Tensor, imitation: Tensor, alpha: float) -> Tensor:
    """Eq. 6: imitation is the negative log-likelihood of the teacher's motion, by one of the next two."""
    return alpha * s + (1 - alpha) * imitation


def laplace(p: Tensor, q: Tensor, log_sigma: Tensor) -> Tensor:
    """Eq. 7, summed over the axes: | p - q | / sigma + log sigma; smallest at sigma = | p - q |."""
    return ((p - q).abs() * torch.exp(-log_sigma) + log_sigma).sum(-1)


def gaussian(p: Tensor, q: Tensor, log_sigma: Tensor) -> Tensor:
    """As eq. 7 with a normal distribution: (p - q)^2 / (2 sigma^2) + log sigma."""
    return ((p - q).square() * torch.exp(-2 * log_sigma) / 2 + log_sigma).sum(-1)


def attentive(s: Tensor, m: Tensor, trust: Tensor, alpha: float) -> Tensor:
    """Eq. 8, the attentive imitation loss: imitate as far as the teacher can be trusted."""
    return alpha * s + (1 - alpha) * trust * m


def trust(e: Tensor, eta: float) -> Tensor:
    """Eq. 9: Phi_i = 1 - e_i / eta, not below 0."""
    return (1 - e / eta).clamp(min=0)


def eta_range(e: Tensor) -> float:
    """Eq. 10: max(e) - min(e) over the teacher losses of the whole training set."""
    return float(e.max() - e.min())


def eta_quantile(e: Tensor, q: float) -> float:
    """A variant of eq. 10 that one outlier cannot stretch: the q-quantile instead of the maximum."""
    return float(torch.quantile(e.double(), q) - e.min())


def hint(psi_t: Tensor, psi_s: Tensor) -> Tensor:
    """Eq. 11, hint training: || Psi_T - Psi_S ||^2 of features (..., width)."""
    return (psi_t - psi_s).square().sum(-1)


def attentive_hint(psi_t: Tensor, psi_s: Tensor, trust: Tensor) -> Tensor:
    """Eq. 12, attentive hint training."""
    return trust * hint(psi_t, psi_s)
