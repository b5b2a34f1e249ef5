"""The package's programs in processes of their own, and the DDS domain they meet in."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distill_vo.ros.process import FAST_DDS_TRANSPORTS, FAST_DDS_VARIABLE

NODE, REPLAY = "distill_vo.ros.vo_node", "distill_vo.ros.replay"
# As the launch files have it: larger sockets, which Fast DDS does not heed where it is kept to LOCALHOST.
AS_LAUNCHED = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", FAST_DDS_VARIABLE: FAST_DDS_TRANSPORTS}
LOCAL = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


@contextmanager
def own_domain(variables: dict[str, str]) -> Iterator[None]:
    """A DDS domain that no other process on this machine has, for this process and all it starts."""
    from domain_coordinator import domain_id

    before = dict(os.environ)
    with domain_id() as domain:
        os.environ.update(variables, ROS_DOMAIN_ID=str(domain))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def program(module: str, log: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    """One of the package's programs, with all it says in `log`; SIGINT ends it."""
    command = [sys.executable, "-m", module, *arguments]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def last_line(log: Path) -> str:
    """Of what a program said: its summary, or why it ended."""
    return (log.read_text().splitlines() or ["nothing was said"])[-1].removeprefix("error: ")
