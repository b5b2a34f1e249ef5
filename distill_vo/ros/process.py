"""How a ROS process of this package starts and ends: signals, exit codes, sentences for errors.

Nothing heavy is imported here, so that SIGINT and SIGTERM are in good hands while torch still loads.
"""

import os
import signal
import sys
from collections.abc import Callable

from distill_vo.errors import InputError

# Fast DDS: its default transports with sockets that hold a burst of full camera frames, which get lost
# between processes otherwise. Processes without this setting are still understood (LARGE_DATA is not).
FAST_DDS_VARIABLE, FAST_DDS_TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS", "DEFAULT?sockets_size=4MB"


class Stop:
    """Whether the process was asked to end. SIGINT and SIGTERM only set this: no call is torn in two.

    While `importing` there is nothing to tidy up, and the signal ends the process at once.
    """

    def __init__(self, name: str):
        self.name = name
        self.requested = False
        self.importing = True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number, frame) -> None:
        self.requested = True
        if self.importing:
            os.write(sys.stderr.fileno(), f"{self.name}: stopped before it had started.\n".encode())
            os._exit(0)


def run(name: str, program: Callable[[Stop], int]) -> int:
    """Run program(stop) with ROS shut down after it; returns the exit code.

    0 when it came to its end or was asked to stop, 2 with one sentence on stderr for an InputError.
    """
    stop = Stop(name)
    import rclpy  # the signal handlers come first

    try:
        return program(stop)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        rclpy.try_shutdown()


def init(args: list[str] | None) -> None:
    """rclpy.init without its signal handlers. Raises InputError for arguments ROS does not take."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:
        raise InputError(f"ROS arguments: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an exception says, without the lines that only a debugger wants."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
