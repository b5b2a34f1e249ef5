"""Identities that any implementation of SE(3) must satisfy."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from distill_vo import geometry as g

RNG = np.random.default_rng(0)
ANGLES = [0.0, 1e-9, 1e-5, 0.3, 2.0, np.pi - 1e-6]


def tangents(angle, count=20):
    axes = RNG.normal(size=(count, 3))
    r = angle * axes / np.linalg.norm(axes, axis=1, keepdims=True)
    return np.hstack([RNG.normal(size=(count, 3)), r])


@pytest.mark.parametrize("angle", ANGLES)
def test_log_undoes_exp(angle):
    xi = tangents(angle)
    np.testing.assert_allclose(g.log(g.exp(xi)), xi, atol=1e-9)
    np.testing.assert_allclose(g.to_motion(g.from_motion(xi)), xi, atol=1e-9)


@pytest.mark.parametrize("angle", ANGLES)
def test_exp_is_the_matrix_exponential(angle):
    xi = tangents(angle, 1)[0]
    generator = np.zeros((4, 4))
    generator[:3, :3], generator[:3, 3] = g.skew(xi[3:]), xi[:3]
    np.testing.assert_allclose(g.exp(xi), expm(generator), atol=1e-12)


@pytest.mark.parametrize("angle", ANGLES)
def test_rotations_and_quaternions_agree_with_scipy(angle):
    r = tangents(angle)[:, 3:]
    expected = Rotation.from_rotvec(r)
    R = g.rotation_exp(r)
    np.testing.assert_allclose(R, expected.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(g.quaternion_from_matrix(R), expected.as_quat(canonical=True), atol=1e-9)
    np.testing.assert_allclose(g.matrix_from_quaternion(expected.as_quat()), R, atol=1e-12)


def test_inverse_composes_to_the_identity():
    T = g.exp(tangents(2.0))
    np.testing.assert_allclose(T @ g.inverse(T), np.tile(np.eye(4), (len(T), 1, 1)), atol=1e-12)


def test_adjoint_moves_a_perturbation_to_the_other_side():
    T, xi = g.exp(tangents(1.0)), tangents(0.1)
    moved = np.einsum("nij,nj->ni", g.adjoint(T), xi)
    np.testing.assert_allclose(T @ g.exp(xi) @ g.inverse(T), g.exp(moved), atol=1e-9)


def test_propagated_covariance_is_that_of_many_noisy_chains():
    pose, motion = g.exp(np.array([1, 2, 3, 0.1, 0.5, -0.2])), g.exp(np.array([0, 0, 2, 0, 0.3, 0.0]))
    before, step = np.diag([4, 1, 9, 1, 4, 1]) * 1e-6, np.diag([1, 1, 4, 1, 1, 9]) * 1e-6
    draws = 40_000
    a = RNG.multivariate_normal(np.zeros(6), before, draws)
    b = RNG.multivariate_normal(np.zeros(6), step, draws)
    chained = pose @ g.exp(a) @ motion @ g.exp(b)
    measured = np.cov(g.log(g.inverse(pose @ motion) @ chained).T)
    np.testing.assert_allclose(measured, g.propagate(before, motion, step), atol=4e-7)


def test_optical_axes_turn_forward_to_x_and_down_to_minus_z():
    np.testing.assert_array_equal(g.OPTICAL_AXES @ [0, 0, 1], [1, 0, 0])
    np.testing.assert_array_equal(g.OPTICAL_AXES @ [0, 1, 0], [0, 0, -1])
    assert np.linalg.det(g.OPTICAL_AXES) == 1
