"""How a ROS process of this package starts and ends: signals, exit codes, sentences for errors.

Nothing heavy is imported here, so that SIGINT and SIGTERM are in good hands while torch still loads.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from distill_vo.errors import InputError, exit_code, first_line

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


def run(name: str, program: Callable[[Stop], int]) -> NoReturn:
    """Run program(stop), shut ROS down, and end the process.

    Exit code 0 when it came to its end or was asked to stop, 2 with one sentence on stderr where it cannot go
    on; see errors.exit_code.
    """
    stop = Stop(name)
    import rclpy  # the signal handlers come first

    try:
        code = exit_code(lambda: program(stop))
    finally:
        rclpy.try_shutdown()
    # Nothing is left to tidy up, and Python taking torch apart would last longer than all the rest of the
    # end; a signal meanwhile would change the exit code.
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)  # ROS's log, where RCUTILS_LOGGING_USE_STDOUT asks for it
    os._exit(code)


def init(args: list[str] | None) -> None:
    """rclpy.init without its signal handlers. Raises InputError for arguments ROS does not take."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:
        raise InputError(f"ROS arguments: {first_line(error)}") from error
