"""Parameters of a node as one table: what each is for, what it takes, and whether it may change.

`declare` checks everything given at start, so that a wrong value is one sentence and not a surprise later.
"""

import re
from dataclasses import dataclass

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node

from distill_vo.errors import InputError

# What rclpy itself declares; everything else that is given must be in the table, which has the images' QoS.
_OF_ROS = re.compile(r"use_sim_time|start_type_description_service|"
                     r"qos_overrides\.(.*\.publisher|/clock\.subscription)\..*")


@dataclass(frozen=True)
class Spec:
    """One parameter. Its type is its default's; a float also takes a whole number."""

    default: bool | int | float | str
    text: str
    choices: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    live: bool = False  # takes effect at once; the others when the node is configured

    @property
    def allowed(self) -> str:
        """What it takes, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.range:
            kind = "a number" if isinstance(self.default, float) else "a whole number"
            return f"{kind} from {self.range[0]} to {self.range[1]}"
        return {bool: "true or false", str: "text"}[type(self.default)]

    def accepts(self, value) -> bool:
        is_float = isinstance(self.default, float) and isinstance(value, (int, float))
        if type(value) is not type(self.default) and (not is_float or isinstance(value, bool)):
            return False
        if self.range:
            return self.range[0] <= value <= self.range[1]
        return not self.choices or value in self.choices

    def descriptor(self) -> ParameterDescriptor:
        descriptor = ParameterDescriptor(description=self.text, dynamic_typing=False)
        descriptor.additional_constraints = f"Takes {self.allowed}. " + (
            "May change at any time." if self.live else "Read when the node is configured.")
        if self.range and isinstance(self.default, float):
            descriptor.floating_point_range = [FloatingPointRange(
                from_value=float(self.range[0]), to_value=float(self.range[1]))]
            descriptor.dynamic_typing = True  # so that 2 will do for 2.0
        elif self.range:
            descriptor.integer_range = [IntegerRange(from_value=self.range[0], to_value=self.range[1],
                                                     step=1)]
        return descriptor


Table = dict[str, Spec]


def declare(node: Node, table: Table) -> None:
    """Declare the table on a node. Raises InputError for a value or a name that was given wrongly."""
    for name, given in node._parameter_overrides.items():  # rclpy has no public way to see them
        if sentence := refusal(table, name, given.value):
            raise InputError(sentence)
    for name, spec in table.items():
        node.declare_parameter(name, spec.default, spec.descriptor())


def refusal(table: Table, name: str, value) -> str | None:
    """The sentence against a value, or None where it is fine."""
    if _OF_ROS.fullmatch(name):
        return None
    if name not in table:
        return f"parameter '{name}': there is none of this name; there are {', '.join(table)}."
    if not table[name].accepts(value):
        shown = str(value).lower() if isinstance(value, bool) else value
        return f"parameter '{name}': '{shown}' is not allowed; it takes {table[name].allowed}."
    return None


def judge(table: Table, changes, configured: bool) -> SetParametersResult:
    """Whether parameters may change now; for Node.add_on_set_parameters_callback."""
    for change in changes:
        sentence = refusal(table, change.name, change.value)
        if not sentence and configured and change.name in table and not table[change.name].live:
            sentence = (f"parameter '{change.name}': is read when the node is configured; clean it up "
                        "first (ros2 lifecycle set ... deactivate, then cleanup).")
        if sentence:
            return SetParametersResult(successful=False, reason=sentence)
    return SetParametersResult(successful=True)


def values(node: Node, table: Table) -> dict:
    """The values as they are now, floats as floats."""
    return {name: type(spec.default)(node.get_parameter(name).value) for name, spec in table.items()}
