"""The class of reason for which a deployment is refused, from Docker Compose's words and from ours."""

from __future__ import annotations

import re

__all__ = ["reason"]

_THEIRS = {
    "crash": ("^panic:", "json: "),
    "YAML syntax": (
        r"(?:^|[\s:])yaml: (?!unmarshal)",
        "did not find expected",
        "top-level object must be a mapping",
        "non-string key",
    ),
    "duplicate key": ("mapping key .* already defined",),
    "required variable": ("required variable",),
    "template": ("invalid interpolation format",),
    "circle": ("dependency cycle", "Circular reference", "include cycle", "cycle detected"),
    "nothing to run": ("neither an image nor a build", "empty compose file"),
    "undefined": ("undefined", "declares unknown service", "cannot extend service .* not found", "no such service"),
    "missing file": ("no such file", "not found: stat", "is a directory"),
    "unknown key": ("additional properties",),
    "conflict": (
        *(
            "conflict",
            "mutually exclusive",
            "can't set distinct",
            "MUST include",
            "already (?:in use|been)",
            "are equal",
        ),
        *("can't (?:use|be used)", "more than once", "cannot override", "imported resource", "must be unique"),
    ),
    "missing key": (
        "is required",
        "missing properties",
        "is missing",
        "one of .* must be set",
        "must declare either",
        "missing property",
    ),
    "type": ("must be (?!one of|greater|unique)", "expected type", "unconvertible", "invalid type", "cast to expected"),
    "value": (
        *("invalid", "does not match", "must be", "unexpected", "unknown unit", "missing unit", "strconv"),
        *("out of range", "unsupported", "duplicate", "too ", "cannot parse value", "bad host name"),
    ),
}
_OURS = {
    "YAML syntax": (
        *("broken YAML", "top level must be", "has no anchor", "contains itself", "merge key takes", "nested deeper"),
        *("expand this", "is no string: quote", "mapping key must"),
    ),
    "duplicate key": ("the key .* is given twice",),
    "required variable": ("required variable", "which has no value"),
    "template": ("is no valid variable", "valid template"),
    "circle": ("in a circle",),
    "nothing to run": ("neither an image nor a build", "is empty: no services"),
    "undefined": ("which is not defined", "which is no service", "which does not exist"),
    "missing file": ("cannot be read", "does not exist", "not found", "is a directory", "no such file"),
    "unknown key": ("unknown key", "version 1: services"),
    "conflict": (
        *(" has both ", r" and deploy\.", "only one of them", "has the container_name", "a container_name and"),
        *("has scale", "is external and", "cannot override", "twice", "changes what is included", "not one of build"),
        *("gives both", "by count and by", "differs from the name"),
    ),
    "written value": ("is no (?:size|duration|port|number|file mode)",),
    "missing key": (
        *("the key .* is missing", "must have one of", "without a target", "without a source"),
        *("target port is missing", "must name a service", "is missing"),
    ),
    "type": ("must be (?:text|a |true|an )", "neither true nor false", "no whole number", "must be"),
    "value": (".",),
}


def reason(message: str, *, ours: bool = False) -> str:
    """The class of a refusal's message; "other" for words that are not known."""
    text = message.replace("\n", " ")
    text = re.sub(r'time="[^"]*" level=warning msg="(?:[^"\\]|\\.)*"', "", text).strip()
    classes = _OURS if ours else _THEIRS
    found = next((name for name, words in classes.items() if re.search("|".join(words), text)), "other")
    return found.removeprefix("written ")
