"""The image of infra-audit as its Dockerfile in the stack makes it: Python, what ``[live]`` needs, this checkout."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.command import ROOT
from tests.lab.rootfs import libraries

__all__ = ["CONFIG", "write_layer"]

_HOME = "/opt/infra-audit"
_PYTHON = os.path.realpath(sys.executable)
_LEFT_OUT = {
    "__pycache__",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "site-packages",
    "lib2to3",
}
CONFIG = {"Entrypoint": [_PYTHON, "-m", "infra_audit"], "Env": [f"PYTHONPATH={_HOME}", "PATH=/usr/sbin:/usr/bin"]}


def write_layer(path: Path) -> None:
    """Writes the tar of what comes on top of the root file system."""
    with tarfile.open(path, "w") as tar:
        programs = [_PYTHON]
        tar.add(_PYTHON, _PYTHON, filter=_of_root)
        for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
            for source in _files(Path(folder).resolve()):
                tar.add(source, str(source), filter=_of_root)
                programs += [str(source)] if source.suffix == ".so" else []
        for source, inside in _packages():
            tar.add(source, f"{_HOME}/{inside}", filter=_of_root)
            programs += [str(source)] if source.suffix == ".so" else []
        for part in ("infra_audit", "policies"):
            for source in _files(ROOT / part):
                tar.add(source, f"{_HOME}/{source.relative_to(ROOT)}", filter=_of_root)
        for library in libraries(programs):
            tar.add(os.path.realpath(library), library, filter=_of_root)
        link = tarfile.TarInfo("/usr/bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, _PYTHON
        tar.addfile(link)


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        yield from (Path(parent, name) for name in names)


def _packages() -> Iterator[tuple[Path, str]]:
    """The files of every distribution that infra-audit[live] asks for, and their places below site-packages."""
    waiting, seen = [("infra-audit", {"live", ""})], set()
    while waiting:
        name, extras = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # of another system or Python
            continue
        for file in found.files or () if name != "infra-audit" else ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                yield Path(str(file.locate())), str(file)
        for line in found.requires or ():
            needed = re.match(r"([\w.-]+)", line)
            extra = re.search(r"extra == ['\"](\w+)['\"]", line)
            assert needed, line
            if (extra[1] if extra else "") in extras:
                waiting.append((needed[1], {""}))


def _of_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode |= 0o444
    return info
