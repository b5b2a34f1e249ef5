"""The objectives against values worked out by hand or in NumPy, and at their limits."""

import numpy as np
import pytest
import torch

from training import losses as L

W, ALPHA = 4.0, 0.3


@pytest.fixture
def motions():
    """Student, teacher and true motions of 50 samples."""
    rng = np.random.default_rng(0)
    return [torch.from_numpy(rng.normal(size=(50, 6))) for _ in range(3)]


@pytest.fixture
def parts(motions):
    student, teacher, truth = motions
    return (L.squared_error(student, truth, W), L.squared_error(student, teacher, W),
            L.squared_error(teacher, truth, W))


def test_squared_error_weighs_rotation_against_translation():
    p, q = torch.tensor([1.0, 2, 2, 0, 0, 1]), torch.zeros(6)
    assert L.squared_error(p, q, W) == 9 + 4 * 1


def test_objectives_by_hand():
    s, m, e = (torch.tensor(v) for v in ([4.0, 1.0], [1.0, 2.0], [2.0, 2.0]))
    torch.testing.assert_close(L.minimum(s, m), torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(L.additional(s, m, ALPHA), torch.tensor([0.3 * 4 + 0.7, 0.3 + 0.7 * 2]))
    # The first student is worse than the teacher and imitates, the second is better and does not.
    torch.testing.assert_close(L.upper_bound(s, m, e, ALPHA), torch.tensor([0.3 * 4 + 0.7, 0.3]))
    phi = torch.tensor([1.0, 0.5])
    torch.testing.assert_close(L.attentive(s, m, phi, ALPHA), torch.tensor([1.2 + 0.7, 0.3 + 0.7]))


def test_trust_by_hand():
    e = torch.tensor([1.0, 3.0, 5.0])
    assert L.eta_range(e) == 4
    torch.testing.assert_close(L.trust(e, 4.0), torch.tensor([0.75, 0.25, 0.0]))


def test_attentive_equals_additional_where_the_teacher_is_perfect(motions):
    student, _, truth = motions
    s, m = L.squared_error(student, truth, W), L.squared_error(student, truth, W)
    perfect = L.trust(torch.zeros(50), 1.0)
    torch.testing.assert_close(L.attentive(s, m, perfect, ALPHA), L.additional(s, m, ALPHA))


def test_nothing_is_imitated_where_the_teacher_is_worst(parts, motions):
    s, m, e = parts
    phi = L.trust(e, L.eta_range(e))
    worst = e.argmax()
    assert phi[worst] == 0
    torch.testing.assert_close(L.attentive(s, m, phi, ALPHA)[worst], ALPHA * s[worst])
    psi_t, psi_s = motions[:2]
    assert L.attentive_hint(psi_t, psi_s, phi)[worst] == 0


def test_one_outlier_stretches_the_range_but_not_the_quantile():
    e = torch.cat([torch.linspace(0, 1, 999), torch.tensor([1000.0])])
    assert L.eta_range(e) == 1000
    assert L.eta_quantile(e, 0.9) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("likelihood", [L.laplace, L.gaussian])
def test_sigma_is_best_at_the_absolute_error(likelihood):
    p, q = torch.zeros(6), torch.tensor([0.1, 0.5, 1.0, 2.0, 3.0, 0.01])
    log_sigma = torch.zeros(6, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_sigma], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = likelihood(p, q, log_sigma)
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(log_sigma.exp().detach(), (p - q).abs(), rtol=1e-3, atol=1e-5)


def test_likelihoods_in_numpy(motions):
    p, q, log_sigma = (m.numpy() for m in motions)
    d, sigma = np.abs(p - q), np.exp(log_sigma)
    np.testing.assert_allclose(L.laplace(*motions), (d / sigma + np.log(sigma)).sum(1))
    np.testing.assert_allclose(L.gaussian(*motions), (d**2 / (2 * sigma**2) + np.log(sigma)).sum(1))


def test_hint_losses_in_numpy(motions):
    t, s, _ = (m.numpy() for m in motions)
    phi = np.linspace(0, 1, 50)
    expected = ((t - s) ** 2).sum(1)
    np.testing.assert_allclose(L.hint(*motions[:2]), expected)
    np.testing.assert_allclose(L.attentive_hint(*motions[:2], torch.from_numpy(phi)), phi * expected)


def test_soft_target_in_numpy():
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(2, 8, 6, 5))
    labels, temperature = rng.integers(0, 5, (8, 6)), 3.0

    def log_softmax(x):
        return x - np.log(np.exp(x).sum(-1, keepdims=True))

    hard = -np.take_along_axis(log_softmax(student), labels[..., None], -1).sum((1, 2))
    soft = -(np.exp(log_softmax(teacher / temperature)) * log_softmax(student / temperature)).sum((1, 2))
    found = L.soft_target(*map(torch.from_numpy, (student, labels, teacher)), ALPHA, temperature)
    np.testing.assert_allclose(found, ALPHA * hard + (1 - ALPHA) * 9 * soft)


def test_gradients_pull_to_truth_and_teacher_by_their_weights(motions):
    student, teacher, truth = motions
    student = student.clone().requires_grad_()
    phi = torch.linspace(0, 1, 50)
    s, m = L.squared_error(student, truth, 1.0), L.squared_error(student, teacher, 1.0)
    L.attentive(s, m, phi, ALPHA).sum().backward()
    p, t, g = student.detach(), teacher, truth
    expected = 2 * ALPHA * (p - g) + 2 * (1 - ALPHA) * phi[:, None] * (p - t)
    torch.testing.assert_close(student.grad, expected)
