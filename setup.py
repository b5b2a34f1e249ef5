"""The robot's half of the repository as an ament_python package; training/ runs from a checkout."""

from glob import glob

from setuptools import Distribution, find_packages, setup

NAME = "distill_vo"


class WithData(Distribution):
    """Takes data_files along into an editable install, where setuptools asks for `has_data`."""

    has_data = Distribution.has_data_files


setup(
    name=NAME,
    version="0.1.0",
    distclass=WithData,
    description="Metric visual odometry from one calibrated camera, by a distilled student network",
    maintainer="distill_vo maintainers",
    maintainer_email="distill-vo@users.noreply.github.com",
    license="Apache-2.0",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["models/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", glob("launch/*.launch.py")),
        (f"share/{NAME}/config", [*glob("config/*.yaml"), *glob("config/*.rviz"), *glob("config/*.xml")]),
        (f"share/{NAME}/models", glob(f"{NAME}/models/*")),
    ],
    python_requires=">=3.10",
    # For pip alone: on a robot rosdep installs what package.xml names, and colcon skips this list.
    install_requires=[
        "numpy",
        "opencv-python-headless",
        "matplotlib",
        "PyYAML",
        "torch",
        "safetensors",
        "tqdm",
        "rosbags",
        "evo",
    ],
    entry_points={
        "console_scripts": [
            "distill_vo = distill_vo.cli:main",
            "vo_node = distill_vo.ros.vo_node:main",
            "replay = distill_vo.ros.replay:main",
        ]
    },
    zip_safe=False,
)
