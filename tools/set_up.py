"""Builds the virtual environment that `make demo` and `make test` run in.

In: the folder to build in and the stamp file that says it is whole. Where a ROS 2 is sourced, the
environment sees that ROS; elsewhere it gets the ROS 2 wheels, and tf2_msgs built from source.
Run by the Makefile with the machine's own Python, so only the standard library is used here.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 10), (3, 13)
PYTHON = ".".join(map(str, sys.version_info[:2]))
# Run by every Python of the environment: ROS 2 looks there too, after what is sourced.
AMENT_PTH = """\
import os, sys; p = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep); \
os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join(dict.fromkeys([*filter(None, p), sys.prefix]))
"""


class SetUpError(Exception):
    """One sentence: what is missing or failed, and the command that puts it right."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("stamp", type=Path, help="written last: the environment is whole")
    args = parser.parse_args()
    ros = os.environ.get("ROS_DISTRO")
    try:
        check_python()
        if ros:
            check_sourced_ros(ros)
        else:
            check_wheels_can_run()
        build(args.folder.absolute(), args.stamp.absolute(), ros)
    except SetUpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted, the next run builds the environment afresh.", file=sys.stderr)
        return 2
    return 0


def check_python() -> None:
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise SetUpError(
            f"Python 3.10 to 3.13 is needed and {sys.executable} is {PYTHON}: "
            "`sudo apt install python3.12 python3.12-venv`, then add PYTHON=python3.12 to `make`."
        )
    try:
        import ensurepip  # noqa: F401  Debian and Ubuntu package it apart, and venv fails late without it
        import venv  # noqa: F401
    except ImportError:
        raise SetUpError(
            f"Python's venv module is missing: `sudo apt install python{PYTHON}-venv`."
        ) from None


def check_sourced_ros(distribution: str) -> None:
    for module, package in {
        "rclpy": f"ros-{distribution}-rclpy",
        "tf2_msgs": f"ros-{distribution}-tf2-msgs",
        "domain_coordinator": f"ros-{distribution}-domain-coordinator",
        "numpy": "python3-numpy",
        "cv2": "python3-opencv",
    }.items():
        probe = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True)
        if probe.returncode:
            raise SetUpError(
                f"ROS 2 {distribution} is sourced, but {sys.executable} cannot import {module}: "
                f"`sudo apt install {package}`, or name the Python that ROS came with, "
                "as in `make PYTHON=/usr/bin/python3 test`."
            )


def check_wheels_can_run() -> None:
    machine = f"{platform.system()} {platform.machine()}"
    if machine != "Linux x86_64":
        raise SetUpError(
            f"ROS 2 wheels exist for Linux x86_64 only and this is {machine}: "
            "install ROS 2 and source it, `. /opt/ros/jazzy/setup.sh`, then run the same command."
        )
    if not all(shutil.which(os.environ.get(*name)) for name in (("CXX", "c++"), ("CC", "cc"))):
        raise SetUpError("A C++ compiler is missing: `sudo apt install g++`.")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise SetUpError(f"Python's headers are missing: `sudo apt install python{PYTHON}-dev`.")


def build(folder: Path, stamp: Path, ros: str | None) -> None:
    """Make `folder` match the requirements; from nothing if it is unfinished or of another kind."""
    python = folder / "bin" / "python"
    unfinished = folder / ".unfinished"
    of_another_kind = any(file != stamp for file in folder.glob(".ready-*"))
    if unfinished.exists() or of_another_kind or not runs(python):
        shutil.rmtree(folder, ignore_errors=True)
    print(f"Building {folder} (once, a minute or two) ...", flush=True)
    is_new = not folder.exists()
    folder.mkdir(exist_ok=True)
    unfinished.touch()
    if is_new:
        options = ["--system-site-packages"] if ros else []
        run(sys.executable, "-m", "venv", *options, folder)
    stamp.unlink(missing_ok=True)
    install_requirements(python, ros)
    site_packages = output(python, "import sysconfig; print(sysconfig.get_path('purelib'))")
    Path(site_packages, "distill_vo_ament.pth").write_text(AMENT_PTH)
    if not ros:
        build_tf2_msgs(folder)
    unfinished.unlink()
    stamp.touch()


def install_requirements(python: Path, ros: str | None) -> None:
    files = ["-r", ROOT / "requirements.txt"]
    with tempfile.TemporaryDirectory() as scratch:
        if ros:
            # ROS's compiled modules are built for the NumPy they came with: nothing may replace it.
            numpy = output(python, "import numpy; print(numpy.__version__)")
            constraint = Path(scratch, "constraints.txt")
            constraint.write_text(f"numpy=={numpy}\n")
            files += ["-c", constraint]
        else:
            files += ["-r", ROOT / "requirements-ros.txt"]
        run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *files)


def build_tf2_msgs(folder: Path) -> None:
    """Build and install the one-message package; a few seconds."""
    cmake = folder / "bin" / "cmake"
    with tempfile.TemporaryDirectory() as scratch:
        run(cmake, "-S", ROOT / "tools" / "tf2_msgs", "-B", scratch, "-G", "Ninja", "-Wno-dev",
            "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF",
            f"-DCMAKE_MAKE_PROGRAM={folder}/bin/ninja", f"-DPython3_EXECUTABLE={folder}/bin/python",
            f"-DCMAKE_PREFIX_PATH={folder}", f"-DCMAKE_INSTALL_PREFIX={folder}")  # fmt: skip
        run(cmake, "--build", scratch, "--target", "install")


def runs(python: Path) -> bool:
    return python.exists() and subprocess.run([python, "-c", ""]).returncode == 0


def run(*command: object) -> None:
    """Run silently; what the command said is worth reading only when it fails."""
    command = [str(part) for part in command]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        print(result.stdout, file=sys.stderr)
        raise SetUpError(
            f"`{' '.join(command)}` failed for the reason printed above: "
            "put that right and run the same command again."
        )


def output(python: Path, code: str) -> str:
    return subprocess.check_output([python, "-c", code], text=True).strip()


if __name__ == "__main__":
    sys.exit(main())
