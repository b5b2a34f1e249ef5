"""Lifecycle callbacks that tell why they failed."""

import traceback
from functools import wraps

from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from distill_vo.errors import InputError, sentence


def transition(work):
    """A lifecycle callback that says in the log why it failed (rclpy swallows exceptions)."""

    @wraps(work)
    def callback(self, state):
        try:
            work(self)
            self.fault = None
            return getattr(LifecycleNode, work.__name__)(self, state)
        except (InputError, OSError) as error:
            self.fault = error
            if not self._starting:  # then whoever started it says so
                self.get_logger().error(sentence(error))
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().fatal(traceback.format_exc())
            return TransitionCallbackReturn.ERROR

    return callback
