"""SE(3) on plain float64 arrays; every function broadcasts over leading dimensions.

Transforms are (..., 4, 4), named `a_T_b` (maps b coordinates to a coordinates). Tangent vectors are
(..., 6): translation part in metres, then rotation part in radians. Quaternions are (..., 4) xyzw.
A motion p = (t, r) is what the networks regress: the translation itself and the rotation vector; it
differs from the tangent vector log(T), whose translation part is bent by the rotation.
Source: Sola, Deray, Atchuthan, "A micro Lie theory for state estimation in robotics", arXiv:1812.01537.
"""

import numpy as np

# Columns are the camera's optical axes (x right, y down, z forward) in REP-103 body axes
# (x forward, y left, z up).
OPTICAL_AXES = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])

MOST = 1e12  # metres, or squares of them; with what is larger sums end in numbers that are none

_I = np.eye(3)
_LEAST_RAD = 1e-9  # the axis of a smaller rotation is taken for shorter than a unit vector

# Row i is skew of the i-th axis, flattened.
_SKEW = np.array([[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0.0]])


def skew(v: np.ndarray) -> np.ndarray:
    """(..., 3) -> (..., 3, 3) with skew(v) @ w = v x w."""
    return (np.asarray(v, float) @ _SKEW).reshape(*np.shape(v), 3)


def _axis_angle(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation vector (..., 3) -> skew of its unit axis (..., 3, 3) and its angle (..., 1, 1)."""
    r = np.asarray(r, float)
    t = np.maximum(np.sqrt((r * r).sum(-1, keepdims=True)), _LEAST_RAD)
    return skew(r / t), t[..., None]


def _rotation(k: np.ndarray, t: np.ndarray) -> np.ndarray:
    return _I + np.sin(t) * k + (1 - np.cos(t)) * (k @ k)


def rotation_exp(r: np.ndarray) -> np.ndarray:
    """Rotation vector (..., 3) rad -> rotation matrix (..., 3, 3) (Rodrigues)."""
    return _rotation(*_axis_angle(r))


def _axis_half_angle(R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation matrix (..., 3, 3) -> its unit axis (..., 3) and half its angle (..., 1).

    By the quaternion, which stays accurate near both 0 and pi.
    """
    q = quaternion_from_matrix(R)
    v = q[..., :3]
    sine = np.maximum(np.sqrt((v * v).sum(-1, keepdims=True)), _LEAST_RAD)
    return v / sine, np.arctan2(sine, q[..., 3:])


def rotation_log(R: np.ndarray) -> np.ndarray:
    """Rotation matrix (..., 3, 3) -> rotation vector (..., 3) rad with norm in [0, pi]."""
    axis, half = _axis_half_angle(R)
    return 2 * half * axis


def _assemble(R: np.ndarray, t: np.ndarray) -> np.ndarray:
    T = np.zeros((*np.shape(t)[:-1], 4, 4))
    T[..., :3, :3], T[..., :3, 3], T[..., 3, 3] = R, t, 1.0
    return T


def exp(xi: np.ndarray) -> np.ndarray:
    """Tangent vector (..., 6) -> transform (..., 4, 4)."""
    xi = np.asarray(xi, float)
    k, t = _axis_angle(xi[..., 3:])
    rho = xi[..., :3, None]
    turned = k @ rho
    bent = rho + 2 * np.sin(t / 2)**2 / t * turned + (1 - np.sin(t) / t) * (k @ turned)
    return _assemble(_rotation(k, t), bent[..., 0])


def log(T: np.ndarray) -> np.ndarray:
    """Transform (..., 4, 4) -> tangent vector (..., 6)."""
    axis, half = _axis_half_angle(T[..., :3, :3])
    k, bent, t = skew(axis), T[..., :3, 3:], half[..., None]
    turned = k @ bent
    rho = bent - t * turned + (1 - t / np.tan(t)) * (k @ turned)
    return np.concatenate([rho[..., 0], 2 * half * axis], axis=-1)


def inverse(T: np.ndarray) -> np.ndarray:
    """Transform (..., 4, 4) -> its inverse, by transposition (exactly rigid)."""
    Rt = np.swapaxes(T[..., :3, :3], -1, -2)
    return _assemble(Rt, -(Rt @ T[..., :3, 3, None])[..., 0])


def adjoint(T: np.ndarray) -> np.ndarray:
    """(..., 4, 4) -> (..., 6, 6) with T exp(xi) T^-1 = exp(adjoint(T) @ xi)."""
    R = T[..., :3, :3]
    A = np.zeros((*T.shape[:-2], 6, 6))
    A[..., :3, :3] = A[..., 3:, 3:] = R
    A[..., :3, 3:] = skew(T[..., :3, 3]) @ R
    return A


def from_motion(p: np.ndarray) -> np.ndarray:
    """Motion (..., 6) = (t, r), metres and rotation vector -> transform (..., 4, 4)."""
    p = np.asarray(p, float)
    return _assemble(rotation_exp(p[..., 3:]), p[..., :3])


def to_motion(T: np.ndarray) -> np.ndarray:
    """Transform (..., 4, 4) -> motion (..., 6) = (t, r)."""
    return np.concatenate([T[..., :3, 3], rotation_log(T[..., :3, :3])], axis=-1)


def matrix_from_quaternion(q: np.ndarray) -> np.ndarray:
    """Quaternion (..., 4) xyzw of any non-zero norm -> rotation matrix (..., 3, 3)."""
    q = np.asarray(q, float)
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    k = skew(q[..., :3])
    return _I + 2 * (q[..., 3, None, None] * k + k @ k)


def quaternion_from_matrix(R: np.ndarray) -> np.ndarray:
    """Rotation matrix (..., 3, 3) -> unit quaternion (..., 4) xyzw with w >= 0.

    Four times the outer product q q^T is linear in R; its row with the largest diagonal is the
    best-conditioned multiple of q (Shepperd 1978, without branches).
    """
    R = np.asarray(R, float)
    outer = R.reshape(-1, 9) @ _OUTER + np.eye(4).ravel()
    best = outer[:, ::5].argmax(axis=1)
    q = outer.reshape(-1, 4, 4)[np.arange(len(outer)), best].reshape(*R.shape[:-2], 4)
    return q / np.copysign(np.sqrt((q * q).sum(-1, keepdims=True)), q[..., 3:])


def _outer() -> np.ndarray:
    """(9, 16): what each element of R adds to four times q q^T."""
    m = np.eye(9).reshape(3, 3, 9)
    x, y, z = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    xy, xz, yz = m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] + m[1, 2]
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    xx, yy, zz = (2 * m[i, i] - trace for i in range(3))
    return np.array([xx, xy, xz, x, xy, yy, yz, y, xz, yz, zz, z, x, y, z, trace]).T


_OUTER = _outer()


def from_position_quaternion(position: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Position (..., 3) m and quaternion (..., 4) xyzw -> transform (..., 4, 4)."""
    return _assemble(matrix_from_quaternion(quaternion), np.asarray(position, float))


def orthonormalise(T: np.ndarray) -> np.ndarray:
    """The rigid transform nearest to (..., 4, 4), which was written with few digits."""
    T = np.asarray(T, float)
    left, _, right = np.linalg.svd(T[..., :3, :3])
    return _assemble(left @ right, T[..., :3, 3])


def propagate(covariance: np.ndarray, motion: np.ndarray, motion_covariance: np.ndarray) -> np.ndarray:
    """Covariance of pose @ motion, both 6x6 in the tangent space at the right of their transform.

    pose exp(a) motion exp(b) = pose motion exp(Ad(motion^-1) a) exp(b), to first order.
    """
    A = adjoint(inverse(motion))
    out = A @ covariance @ A.T + motion_covariance
    return (out + out.T) / 2


def turn(R: np.ndarray) -> np.ndarray:
    """(6, 6) that turns translations and rotations alike by R (3, 3)."""
    B = np.zeros((6, 6))
    B[:3, :3] = B[3:, 3:] = R
    return B


def rotate_covariance(covariance: np.ndarray, R: np.ndarray) -> np.ndarray:
    """A 6x6 covariance (x, y, z, rotations about x, y, z) seen in axes turned by R (3, 3)."""
    B = turn(R)
    out = B @ covariance @ B.T
    return (out + out.T) / 2
