"""Whether this machine can run the package: what was found, and for each thing that is wrong one sentence
that says what to do. Nothing is changed, and nothing is taken for granted but Python itself.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from distill_vo.errors import InputError, first_line

OLDEST = (3, 10)
LIBRARIES = ("numpy", "yaml", "safetensors", "tqdm", "matplotlib")
OFFLINE_LIBRARIES = ("rosbags", "evo")  # what a node does without
PACKAGES = {"yaml": "PyYAML"}


@dataclass(frozen=True)
class Finding:
    """advice: works, but may be better. wrong: something of the package does not work."""

    what: str
    status: Literal["ok", "advice", "wrong"]
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """All findings, in the order to mend them. Takes some seconds: it imports what a node imports."""
    from distill_vo.ros.doctor import CHECKS as ROS_CHECKS

    findings = []
    for check in (_interpreter, _libraries, _opencv, _torch, _device, _models, *ROS_CHECKS, _scripts):
        findings += _carefully(check)
    return findings


def table(findings: list[Finding]) -> str:
    """One line a finding, its remedy below it."""
    width = max(len(f.what) for f in findings)
    lines = []
    for f in findings:
        lines.append(f"{f.status:6}  {f.what:<{width}}  {f.found}")
        if f.remedy:
            lines.append(f"{'':6}  {'':<{width}}  -> {f.remedy}")
    return "\n".join(lines)


def importable(module: str, remedy: str, what: str | None = None) -> Finding:
    """Whether this Python imports a module, in which version and from where."""
    try:
        found = import_module(module)
    except Exception as error:  # damaged libraries let any kind out
        return Finding(what or module, "wrong", f"cannot be imported: {first_line(error)}", remedy)
    version, places = getattr(found, "__version__", ""), getattr(found, "__path__", ())
    return Finding(what or module, "ok", f"{version} {next(iter(places), '')}".strip())


def is_installed(module: str) -> bool:
    """Where it is not, its own finding says so, and what depends on it has nothing to add."""
    return find_spec(module) is not None


def _carefully(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """A check's findings; one that fails itself is a finding too."""
    findings = []
    try:
        findings.extend(check())
    except Exception as error:
        findings.append(Finding(check.__name__.strip("_"), "wrong", f"{type(error).__name__}: "
                                f"{first_line(error)}", "Mend what stands above first, then ask again."))
    return findings


def _interpreter() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    found, active = f"Python {version}, {sys.executable}", os.environ.get("VIRTUAL_ENV")
    if sys.version_info < OLDEST:
        yield Finding("interpreter", "wrong", found, "Use Python 3.10 or newer; ROS 2 Jazzy has 3.12.")
    elif active and Path(active).resolve() != Path(sys.prefix).resolve():
        yield Finding("interpreter", "wrong", f"{found}, though {active} is active",
                      "Build again with the Python of the virtual environment that is active, "
                      "`python3 $(which colcon) build`, so that the commands run with it.")
    else:
        yield Finding("interpreter", "ok", found)


def _pip(package: str) -> str:
    return (f"Install it, `{sys.executable} -m pip install {package}`, or run this command with the Python "
            "that has it (docs/robot.md: virtual environments).")


def _libraries() -> Iterator[Finding]:
    for library in LIBRARIES:
        yield importable(library, _pip(PACKAGES.get(library, library)))
    for library in OFFLINE_LIBRARIES:
        finding = importable(library, _pip(library))
        if finding.status == "wrong":
            finding = Finding(library, "advice", "is not there; the node does without it",
                              f"For bags and figures only: {_pip(library)}")
        yield finding


def _opencv() -> Iterator[Finding]:
    finding = importable("cv2", "Install it, `sudo apt install python3-opencv`, or without ROS "
                         f"`{sys.executable} -m pip install opencv-python-headless`.", "OpenCV")
    if finding.status == "ok" and not hasattr(import_module("cv2"), "DISOpticalFlow_create"):
        finding = Finding("OpenCV", "wrong", f"{finding.found}, without DIS optical flow",
                          "Install OpenCV 4 or newer: `sudo apt install python3-opencv`.")
    yield finding


def _torch() -> Iterator[Finding]:
    yield importable("torch", _pip("torch"))


def _device() -> Iterator[Finding]:
    if not is_installed("torch"):
        return
    import torch

    if not torch.cuda.is_available():
        yield Finding("device", "ok", "cpu (this torch sees no GPU)")
        return
    name = torch.cuda.get_device_name()
    try:
        torch.ones(2, 2, device="cuda").matmul(torch.ones(2, 2, device="cuda")).cpu()
        yield Finding("device", "ok", f"cuda ({name})")
    except RuntimeError as error:
        yield Finding("device", "wrong", f"cuda ({name}) fails: {first_line(error)}",
                      "Install a torch that is built for this GPU, or start the node with device:=cpu.")


def _models() -> Iterator[Finding]:
    """Every student that comes with the package, loaded as the node loads it: its digest is checked."""
    if not all(map(is_installed, ("torch", "safetensors", "cv2", "yaml"))):
        return
    from distill_vo.student import MODELS, Student, student_names

    if not student_names():
        yield Finding("models", "wrong", f"there are none in {MODELS}", "Install the package again.")
    for name in student_names():
        try:
            student = Student.load(name, "cpu")
            yield Finding(f"model {name}", "ok", f"sha256 {student.digest}")
        except InputError as error:
            yield Finding(f"model {name}", "wrong", str(error), "Install the package again.")


def _scripts() -> Iterator[Finding]:
    """Whether ros2 run and ros2 launch find the node, and its Python finds what it needs."""
    if not is_installed("ament_index_python"):
        return
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        script = Path(get_package_prefix("distill_vo"), "lib", "distill_vo", "vo_node")
    except PackageNotFoundError:
        script = None
    if script is None or not script.is_file():
        yield Finding("installation", "advice", "ros2 run and ros2 launch do not find distill_vo here",
                      "For them: `colcon build` in your workspace, then `source install/setup.bash`.")
        return
    words = script.read_text().partition("\n")[0].removeprefix("#!").split()  # a path, or env and a name
    python = shutil.which(words[-1]) or words[-1]
    if fault := _fault_of(python):
        yield Finding("installation", "wrong", f"{script} runs with {python}: {fault}",
                      "Build again with the Python that has torch, `python3 $(which colcon) build` in its "
                      "virtual environment (docs/robot.md).")
    else:
        yield Finding("installation", "ok", f"{script} runs with {python}")


def _fault_of(python: str) -> str | None:
    """Why a Python could not run the node; None where it could."""
    try:
        probe = subprocess.run([python, "-c", "import rclpy, cv2, torch, distill_vo"], capture_output=True,
                               text=True, check=False)
    except OSError as error:
        return error.strerror
    return (probe.stderr.strip().splitlines() or ["fails"])[-1] if probe.returncode else None
