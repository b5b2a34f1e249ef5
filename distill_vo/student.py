"""A student as a file: weights, settings, training camera and covariance calibration, in safetensors.

No pickle is involved. The header carries the settings as JSON and a digest of everything; a file that
was damaged or changed is refused before any of it is used.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise

from distill_vo import settings as typed
from distill_vo.camera import CANONICAL, Camera
from distill_vo.errors import InputError
from distill_vo.frontend import FRONT_ENDS
from distill_vo.inference import Inference
from distill_vo.networks import MOTION, YAW, NetworkSettings, PoseRegressor
from distill_vo.refine import refine
from distill_vo.trajectory import whole_file
from distill_vo.uncertainty import ErrorModel

MODELS = Path(__file__).parent / "models"
DEFAULT = "flow-s"
DEVICES = ("auto", "cpu", "cuda")
WAY_SCALES = (0.5, 2.0)
MOST_SQUAT = 0.1
MOST_TURNING = 1e5
MOST_MOTION = 1e3  # m, rad; what is longer, or less certain, is no motion
LARGEST_BYTES = 500_000_000  # a student is a few MB; beyond this the file is something else


@dataclass(frozen=True)
class StudentSettings:
    """What a student's file says of itself besides its weights."""

    network: NetworkSettings
    sigma_scale: tuple[float, ...] = (1.0,) * MOTION  # measured / predicted sigma, of the network alone
    way_scale: float = 1.0  # true / said length of the way
    squat: float = 0.0  # share by which the way is said too short for each m/s^2 of acceleration
    turning: tuple[float, ...] = (0.0,) * MOTION  # sigma^2 grows by the factor 1 + turning yaw^2
    errors: ErrorModel = ErrorModel()  # how errors of one motion are related to those of the next
    camera: Camera = CANONICAL  # the view it was trained on

    def __post_init__(self):
        if len(self.sigma_scale) != MOTION or not all(0 < scale < np.inf for scale in self.sigma_scale):
            raise InputError(f"sigma_scale: {self.sigma_scale} must be {MOTION} positive numbers.")
        if not WAY_SCALES[0] <= self.way_scale <= WAY_SCALES[1]:
            raise InputError(f"way_scale: {self.way_scale} is not between {WAY_SCALES[0]} and "
                             f"{WAY_SCALES[1]}; calibrate the student anew.")
        if not 0 <= self.squat <= MOST_SQUAT:
            raise InputError(f"squat: {self.squat} is not between 0 and {MOST_SQUAT}; calibrate the student "
                             "anew.")
        if len(self.turning) != MOTION or not all(0 <= growth <= MOST_TURNING for growth in self.turning):
            raise InputError(f"turning: {self.turning} are not {MOTION} numbers between 0 and "
                             f"{MOST_TURNING:.0f}; calibrate the student anew.")


class Student:
    """A loaded student. Call it with what the front end makes of two frames."""

    def __init__(self, network: PoseRegressor, settings: StudentSettings, name: str, digest: str = "",
                 device: str | torch.device = "cpu"):
        self.name, self.digest, self.device, self.settings = name, digest, str(device), settings
        self.front_end = FRONT_ENDS[settings.network.front_end]()
        self.network = network.to(device).eval()
        self.errors, self.squat = settings.errors, settings.squat
        self._sigma_scale, self._turning = np.array(settings.sigma_scale), np.array(settings.turning)
        self._scale = np.array([settings.way_scale] * 3 + [1.0] * 3)

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Front-end output (..., C, H, W) -> motions and their standard deviations (..., 6).

        Metres and radians, camera optical axes, k-1 -> k, at the training camera's height; what the network
        says is refined by what geometry says.
        """
        lead, x = x.shape[:-3], x.reshape(-1, *x.shape[-3:])
        motion, sigma = self.refined(x, *self.said(x))
        return motion.reshape(*lead, MOTION), sigma.reshape(*lead, MOTION)

    def said(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Front-end output (N, C, H, W) -> the network's motions and sigmas (N, 6)."""
        if self.device == "cpu":
            return self._inference(x)
        with torch.inference_mode():
            return self.network(torch.from_numpy(x).to(self.device)).in_numbers()

    @cached_property
    def _inference(self) -> Inference:
        return Inference(self.network)

    def refined(self, x: np.ndarray, motion: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Front-end output (N, C, H, W), the network's motions and sigmas (N, 6) -> the student's."""
        sigma = sigma * self._sigma_scale
        if self.front_end.is_flow:
            # What no camera does between two images is left to be found implausible.
            refined = [refine(seen, m, s) if (np.abs(m) + s < MOST_MOTION).all() else (m, s)
                       for seen, m, s in zip(x, motion, sigma, strict=True)]
            motion, sigma = map(np.array, zip(*refined, strict=True))
        return motion * self._scale, in_turns(motion, sigma, self._turning) * self._scale

    @classmethod
    def load(cls, name_or_path: str | Path = DEFAULT, device: str = "auto") -> "Student":
        """Load a shipped student by name, or any by its path. Raises InputError."""
        path = _find(name_or_path)
        device = _pick_device(device)
        network, settings, digest = load_network(path)
        if settings.network.lstm_layers:
            raise InputError(f"{path}: is a recurrent teacher; on the robot runs a student, see "
                             "`python -m training distil`.")
        student = cls(network, settings, path.stem, digest, device)
        try:
            with np.errstate(all="ignore"):
                is_usable = np.isfinite(student(np.zeros(student.front_end.shape, np.float32))).all()
        except (RuntimeError, MemoryError):
            is_usable = False
        if not is_usable:
            raise InputError(f"{path}: does not make finite motions of what its front end gives; export the "
                             "student anew.")
        return student


def in_turns(motion: np.ndarray, sigma: np.ndarray, turning: np.ndarray) -> np.ndarray:
    """sigma (N, 6) of motions (N, 6), grown with their yaw; turning (6,), see StudentSettings.

    A camera that turns moves aside as it does, and sees the one almost as the other.
    """
    return sigma * np.sqrt(1 + turning * motion[:, YAW:YAW + 1]**2)


def load_network(path: str | Path) -> tuple[PoseRegressor, StudentSettings, str]:
    """A student's or teacher's network, its settings and digest. Raises InputError."""
    path = Path(path)
    weights, header = _read(path)
    digest = header.get("digest", "")
    if digest != _digest(weights, header.get("settings", "")):
        raise InputError(f"{path}: weights and settings do not match their digest; the file was damaged or "
                         "changed, get it anew.")
    try:
        settings = typed.from_mapping(StudentSettings, json.loads(header.get("settings", "")), str(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: its settings are no JSON ({error}); export the student anew.") from error
    if settings.camera != CANONICAL:
        raise InputError(f"{path}: was trained on another view ({settings.camera}) than the one this "
                         "version gives; export it with this version.")
    try:
        if settings.network.weights > sum(tensor.numel() for tensor in weights.values()):
            raise RuntimeError("settings claim more than there is")  # before memory is taken for it
        network = PoseRegressor(settings.network)
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path}: weights do not fit the settings beside them; export the student "
                         "anew.") from error
    return network, settings, digest


def save(path: str | Path, network: PoseRegressor, settings: StudentSettings) -> str:
    """Write a student's file whole, and return its digest (hex SHA-256)."""
    weights = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    text = json.dumps(asdict(settings), sort_keys=True)
    digest = _digest(weights, text)
    with whole_file(path) as file:
        file.write_bytes(serialise(weights, {"settings": text, "digest": digest}))
    return digest


def student_names() -> list[str]:
    """Names of the students that come with the package."""
    return sorted(p.stem for p in MODELS.glob("*.safetensors"))


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if str(name_or_path) in student_names():
        path = MODELS / f"{name_or_path}.safetensors"
    if not path.is_file():
        raise InputError(f"model '{name_or_path}': there is no such file, and the students that come "
                         f"with the package are {', '.join(student_names())}.")
    if path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"{path}: is larger than {LARGEST_BYTES // 10**6} MB, so it is not a student.")
    return path


def _pick_device(device: str) -> str:
    if device not in DEVICES:
        raise InputError(f"device '{device}': is not one of {', '.join(DEVICES)}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device 'cuda': this PyTorch sees no GPU; use 'cpu', or 'auto' to take a GPU "
                         "where there is one.")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: is not a readable safetensors file ({error}); get it anew.") from error


def _digest(weights: dict[str, torch.Tensor], settings: str) -> str:
    sha = hashlib.sha256(settings.encode())
    for name in sorted(weights):
        tensor = weights[name]
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())  # NumPy has not every type
    return sha.hexdigest()
