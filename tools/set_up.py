"""Builds the virtual environment that `make demo` and `make test` run in.

In: the folder to build in and the stamp file that says it is whole. Where a ROS 2 is sourced, the
environment sees that ROS; elsewhere it gets the ROS 2 wheels and a tf2_msgs built from tools/tf2_msgs.
Run by the Makefile with the machine's own Python, so only the standard library is used here.
"""

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
# In every Python of the environment: ROS 2 finds packages installed there, after those already sourced.
AMENT_PTH = """\
import os, sys; p = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep); \
os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join(dict.fromkeys([*filter(None, p), sys.prefix]))
"""


class MissingError(Exception):
    """A prerequisite is not there; the message says which, and the command that brings it."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("stamp", type=Path, help="written last: the environment is whole")
    args = parser.parse_args()
    ros = os.environ.get("ROS_DISTRO")
    try:
        check_python()
        check_sourced_ros(ros) if ros else check_wheels_can_run()
        build(args.folder.absolute(), args.stamp.absolute(), ros)
    except MissingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def check_python():
    version = ".".join(map(str, sys.version_info[:2]))
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise MissingError(
            f"Python 3.10 to 3.13 is needed and {sys.executable} is {version}: name another one "
            "with `make PYTHON=python3.12 ...`, after `sudo apt install python3.12 python3.12-venv`."
        )
    try:
        import ensurepip  # noqa: F401  Debian and Ubuntu package it apart, and venv fails late without it
        import venv  # noqa: F401
    except ImportError:
        raise MissingError(
            f"Python's venv module is missing: `sudo apt install python{version}-venv`."
        ) from None


def check_sourced_ros(distribution):
    for module, package in {
        "rclpy": f"ros-{distribution}-rclpy",
        "tf2_msgs": f"ros-{distribution}-tf2-msgs",
        "numpy": "python3-numpy",
        "cv2": "python3-opencv",
    }.items():
        if subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True).returncode:
            raise MissingError(
                f"ROS 2 {distribution} is sourced, but {sys.executable} cannot import {module}: "
                f"`sudo apt install {package}`, or name ROS's own Python "
                "with `make PYTHON=/usr/bin/python3 ...`."
            )


def check_wheels_can_run():
    machine = f"{platform.system()} {platform.machine()}"
    if machine != "Linux x86_64":
        raise MissingError(
            f"ROS 2 wheels exist for Linux x86_64 only and this is {machine}: "
            "install ROS 2 and source it, `. /opt/ros/jazzy/setup.sh`, then run the same command."
        )
    if not (shutil.which(os.environ.get("CXX", "c++")) and shutil.which(os.environ.get("CC", "cc"))):
        raise MissingError("A C++ compiler is missing: `sudo apt install g++`.")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        version = ".".join(map(str, sys.version_info[:2]))
        raise MissingError(f"Python's headers are missing: `sudo apt install python{version}-dev`.")


def build(folder, stamp, ros):
    """Make `folder` match the requirement files, from nothing if it is broken or of another kind."""
    python = folder / "bin" / "python"
    unfinished = folder / ".unfinished"
    other_kind = [file for file in folder.glob(".ready-*") if file != stamp]
    works = python.exists() and not subprocess.run([python, "-c", ""]).returncode
    if unfinished.exists() or other_kind or not works:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"Building {folder} (a minute or two, once) ...", flush=True)
    options = ["--system-site-packages"] if ros else []
    if not python.exists():
        run(sys.executable, "-m", "venv", *options, folder, trouble="the environment was not created")
    unfinished.touch()
    stamp.unlink(missing_ok=True)
    install_requirements(python, ros)
    site_packages = output(python, "import sysconfig; print(sysconfig.get_path('purelib'))")
    Path(site_packages, "distill_vo_ament.pth").write_text(AMENT_PTH)
    if not ros:
        build_tf2_msgs(folder)
    unfinished.unlink()
    stamp.touch()


def install_requirements(python, ros):
    files = ["-r", ROOT / "requirements.txt"]
    with tempfile.TemporaryDirectory() as scratch:
        if ros:
            # ROS's compiled modules are built for the NumPy they came with: nothing may replace it.
            constraint = Path(scratch, "constraints.txt")
            constraint.write_text("numpy==" + output(python, "import numpy; print(numpy.__version__)"))
            files += ["-c", constraint]
        else:
            files += ["-r", ROOT / "requirements-ros.txt"]
        run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *files,
            trouble="pip could not install the requirements: see its message above")


def build_tf2_msgs(folder):
    """Build and install the one-message package; a few seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        configure = (
            "cmake", "-S", ROOT / "tools" / "tf2_msgs", "-B", scratch, "-G", "Ninja", "-Wno-dev",
            "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF",
            f"-DCMAKE_MAKE_PROGRAM={folder}/bin/ninja", f"-DPython3_EXECUTABLE={folder}/bin/python",
            f"-DCMAKE_PREFIX_PATH={folder}", f"-DCMAKE_INSTALL_PREFIX={folder}",
        )
        install = ("cmake", "--build", scratch, "--target", "install")
        for command in (configure, install):
            run(folder / "bin" / "python", "-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])",
                folder / "bin" / command[0], *command[1:], quiet=True,
                trouble="tf2_msgs was not built: see the compiler's message above")


def run(*command, trouble, quiet=False):
    result = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
    )
    if result.returncode:
        if quiet:
            print(result.stdout, file=sys.stderr)
        raise MissingError(f"{trouble}; run the same command again once that is put right.")


def output(python, code):
    return subprocess.check_output([python, "-c", code], text=True).strip()


if __name__ == "__main__":
    sys.exit(main())
