"""Puts the policies, their compiled form and the reference stack into the wheel, below ``infra_audit/_data``."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_LEFT_OUT = (".env", "secrets")
"""What a user of the stack makes for himself; templates such as .env.example ship."""


class DataHook(BuildHookInterface[Any]):
    """Adds the files that lie beside the package in a checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        include: dict[str, str] = build_data["force_include"]
        for path in _files(os.path.join(self.root, "policies")):
            if path.endswith((".yaml", ".yml")):
                self._add(include, path)
        for path in _files(os.path.join(self.root, "stack"), _LEFT_OUT):
            self._add(include, path)
        handle, compiled = tempfile.mkstemp(
            suffix=".json", dir=self.directory if os.path.isdir(self.directory) else None
        )
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(self._compiled())
        include[compiled] = "infra_audit/_data/policies/compiled.json"
        self._scratch = compiled

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        scratch = getattr(self, "_scratch", None)
        if scratch is not None:
            os.unlink(scratch)

    def _add(self, include: dict[str, str], path: str) -> None:
        include[path] = "infra_audit/_data/" + os.path.relpath(path, self.root).replace(os.sep, "/")

    def _compiled(self) -> str:
        sys.path.insert(0, self.root)
        try:
            from infra_audit.engine.policies import compile_folder

            return compile_folder(os.path.join(self.root, "policies"))
        finally:
            sys.path.remove(self.root)


def _files(folder: str, left_out: tuple[str, ...] = ()) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in (".cache", "__pycache__", *left_out))
        for name in sorted(names):
            if name not in left_out:
                yield os.path.join(parent, name)
