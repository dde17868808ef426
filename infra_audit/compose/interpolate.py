"""Variables in values: $A, ${A}, ${A:-x}, ${A-x}, ${A:?x}, ${A?x}, ${A:+x}, ${A+x}, nested, and $$.

The forms are those of the Compose Specification; what is no valid form is refused, as Compose does.
An unset variable is blank where Compose's own answer is wanted, and a hole (``tree.HOLE``) where
the audit goes on with "unknown".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from infra_audit.named import NamedTuple
from infra_audit.source import Hop, Span
from infra_audit.tree import HOLE, Node

__all__ = ["TemplateError", "Variable", "Variables", "interpolate_tree", "substitute"]

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")


class Variable(NamedTuple):
    """A variable's value, where it is set, and which file or option set it."""

    value: str
    span: Span | None = None
    note: str = ""


Variables = Mapping[str, Variable]


class TemplateError(Exception):
    """A text that is no valid template, or a required variable without a value."""

    def __init__(self, message: str, *, required: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.required = required


class _Substitution:
    """One text's variables replaced; collects hops. ``blank`` stands for what is unset."""

    def __init__(self, variables: Variables, blank: str, demand: bool) -> None:
        self.variables = variables
        self.blank = blank
        self.demand = demand
        self.hops: list[Hop] = []

    def text(self, template: str) -> str:
        at = template.find("$")
        if at < 0:
            return template
        parts: list[str] = []
        start = 0
        while at >= 0:
            parts.append(template[start:at])
            value, start = self.variable(template, at)
            parts.append(value)
            at = template.find("$", start)
        parts.append(template[start:])
        return "".join(parts)

    def variable(self, template: str, at: int) -> tuple[str, int]:
        """The value of the variable whose dollar stands at ``at``, and where the text goes on."""
        following = template[at + 1 : at + 2]
        if following == "$":
            return "$", at + 2
        if following != "{":
            match = _NAME.match(template, at + 1)
            return (self.plain(match[0]), match.end()) if match else ("$", at + 1)
        end = _closing_brace(template, at)
        match = _NAME.match(template, at + 2)
        if end < 0 or match is None:
            raise TemplateError(f"{_excerpt(template, at)} is no valid variable; a plain $ is written $$")
        name, rest = match[0], template[match.end() : end]
        if not rest:
            return self.plain(name), end + 1
        operator = next((operator for operator in _OPERATORS if rest.startswith(operator)), "")
        if not operator or "\n" in rest:
            raise TemplateError(f"{_excerpt(template, at)} is no valid variable; a plain $ is written $$")
        return self.operation(name, operator, rest[len(operator) :]), end + 1

    def plain(self, name: str) -> str:
        variable = self.variables.get(name)
        if variable is None:
            return self.unset(name)
        self.hops.append(Hop("variable", _named(name, variable), variable.span))
        return variable.value

    def operation(self, name: str, operator: str, operand: str) -> str:
        variable = self.variables.get(name)
        present = variable is not None and (variable.value != "" or not operator.startswith(":"))
        kind = operator[-1]
        if kind == "+":
            if not present:
                return ""
            value = self.text(operand)
            self.hops.append(Hop("variable", name, variable.span if variable else None))
            return value
        if present and variable is not None:
            self.hops.append(Hop("variable", _named(name, variable), variable.span))
            return variable.value
        if kind == "-":
            self.hops.append(Hop("default", f"of {name}, which is {'not set' if variable is None else 'empty'}"))
            return self.text(operand)
        if self.demand:
            reason = self.text(operand)
            message = f"the required variable {name} has no value" + (f": {reason}" if reason else "")
            raise TemplateError(message, required=name)
        return self.unset(name, "required")

    def unset(self, name: str, kind: Literal["unset", "required"] = "unset") -> str:
        self.hops.append(Hop(kind, name))
        return self.blank


def _named(name: str, variable: Variable) -> str:
    return f"{name} from {variable.note}" if variable.note else name


def _excerpt(template: str, at: int) -> str:
    text = template[at : at + 24].split("\n")[0]
    return repr(text + ("…" if len(template) > at + 24 else ""))


def _closing_brace(template: str, at: int) -> int:
    """The brace that closes the ``${`` at ``at``, or -1.

    As Compose counts: every ``{`` opens, the character after it is passed over, and where the count
    does not come out, the last ``}`` of the line closes.
    """
    newline = template.find("\n", at)
    last = template.rfind("}", at, newline if newline >= 0 else len(template))
    depth = 0
    index = at
    while index <= last:
        if template[index] == "{":
            depth += 1
            index += 1
        elif template[index] == "}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return last


def substitute(template: str, variables: Variables, *, blank: str = "", demand: bool = True) -> tuple[str, list[Hop]]:
    """The text with its variables replaced, and the hops that this took.

    ``blank`` stands for unset variables; with ``demand`` a required variable without a value raises.
    """
    substitution = _Substitution(variables, blank, demand)
    return substitution.text(template), substitution.hops


def interpolate_tree(
    root: Node,
    variables: Variables,
    *,
    strict: bool,
    refuse: Callable[[Node, tuple[str | int, ...], str], None],
    tell: Callable[[Node, Sequence[Hop]], None],
) -> Node:
    """The tree with the variables in all its text values replaced (keys stay as they are).

    ``refuse`` is told of each text that Compose would not accept; that text stays as it is written.
    ``tell`` is told of each text that holds variables, and of the hops that they made.
    """

    path: list[str | int] = []

    def visit(node: Node) -> Node:
        if node.tag == "!reset":
            return node  # what stands there does not count
        value = node.value
        kind = type(value)
        if kind is str and "$" in value:
            try:
                text, hops = substitute(value, variables, blank="" if strict else HOLE, demand=strict)
            except TemplateError as error:
                refuse(node, tuple(path), error.message)
                return node
            tell(node, hops)
            return node.with_value(text, *hops)
        if kind is not dict and kind is not list:
            return node
        changed: Any = None
        for step, child in value.items() if kind is dict else enumerate(value):
            if type(child.value) is str and "$" not in child.value:
                continue  # most values
            path.append(step)
            seen = visit(child)
            path.pop()
            if seen is not child:
                changed = changed or value.copy()
                changed[step] = seen
        return node.with_value(changed) if changed else node

    return visit(root)
