"""A root file system with the stack's servers, from the Debian packages that this machine has installed.

Only what a server opens is taken: the files of its package and the libraries that its programs name. The result is
one tar in a cache folder, named after the versions it was made of and after this code, so that an upgrade makes a
new one.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PACKAGES", "libraries", "missing_packages", "rootfs"]

HERE = Path(__file__).parent
PACKAGES = (
    "busybox",
    "nginx-light",
    "postgresql-15",
    "prometheus",
    "prometheus-node-exporter",
    "prometheus-postgres-exporter",
    "prometheus-redis-exporter",
    "rabbitmq-server",
    "redis-server",
    "redis-tools",
)
"""What the images hold. ``tests/provision.sh`` installs it."""

_TREES = (
    "/usr/lib/erlang",
    "/usr/lib/locale/C.utf8",
    "/usr/lib/postgresql/15",
    "/usr/lib/rabbitmq",
    "/usr/share/postgresql/15",
)
_PROGRAMS = {
    "/bin/busybox": (),
    "/usr/bin/redis-check-rdb": ("redis-server",),
    "/usr/bin/redis-cli": (),
    "/usr/sbin/nginx": (),
    "/usr/bin/prometheus": (),
    "/usr/bin/prometheus-node-exporter": ("node_exporter",),
    "/usr/bin/prometheus-postgres-exporter": ("postgres_exporter",),
    "/usr/bin/prometheus-redis-exporter": ("redis_exporter",),
}
"""Programs, and the further names under which the real images have them."""

_SCRIPTS = {"entry": "/usr/bin/entry", "wget": "/usr/bin/wget", "healthcheck": "/healthcheck"}
_LEFT_OUT = re.compile(r"\.bc$|/bitcode/|llvmjit|/(?:man|doc|src|include|pgxs|examples)/")
_FOLDERS = {
    "/data": (999, 1000),
    "/var/lib/postgresql/data": (70, 70),
    "/var/lib/rabbitmq": (100, 101),
    "/etc/rabbitmq": (100, 101),
    "/etc/rabbitmq/conf.d": (100, 101),
    "/var/log/rabbitmq": (100, 101),
    "/prometheus": (65534, 65534),
    "/alertmanager": (65534, 65534),
    "/var/lib/grafana": (472, 0),
    "/run/postgresql": (70, 70),
    "/var/lib/nginx": (101, 101),
    "/var/log/nginx": (101, 101),
}
"""Folders that a server writes to, with the user and group that the stack gives it."""

_USERS = {"root": 0, "postgres": 70, "redis": 999, "rabbitmq": 100, "nginx": 101, "nobody": 65534}


def missing_packages() -> list[str]:
    """The packages that are not installed here."""
    if shutil.which("dpkg-query") is None:
        return list(PACKAGES)
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in PACKAGES if package not in installed]


def rootfs(cache: Path) -> Path:
    """The tar, made now or earlier."""
    versions = subprocess.run(["dpkg-query", "-W", *PACKAGES], capture_output=True, check=True).stdout
    code = b"".join(path.read_bytes() for path in (Path(__file__), *(HERE / f"{name}.sh" for name in _SCRIPTS)))
    path = cache / f"rootfs-{hashlib.sha256(versions + code).hexdigest()[:16]}.tar"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.glob("rootfs-*.tar"):
            old.unlink(missing_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
            _fill(tar)
        partial.replace(path)
    return path


def _fill(tar: tarfile.TarFile) -> None:
    written: set[str] = set()

    def add(inside: str, source: str) -> None:
        """A file or link of this machine, its folders first; links into the tar stay links."""
        if inside in written:
            return
        folders(os.path.dirname(inside))
        written.add(inside)
        tar.add(source, inside, recursive=False, filter=_plain)

    def folders(path: str) -> None:
        if path in ("", "/") or path in written:
            return
        folders(os.path.dirname(path))
        written.add(path)
        put(path, tarfile.DIRTYPE, 0o755, *_FOLDERS.get(path, (0, 0)))

    def put(
        path: str, kind: bytes, mode: int, user: int = 0, group: int = 0, *, link: str = "", data: bytes = b""
    ) -> None:
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.uid, info.gid, info.linkname, info.size = kind, mode, user, group, link, len(data)
        tar.addfile(info, io.BytesIO(data) if data else None)

    for name in ("bin", "sbin", "lib", "lib64"):
        written.add(f"/{name}")
        put(f"/{name}", tarfile.SYMTYPE, 0o777, link=f"usr/{name}")
    for path in (
        "/usr/bin",
        "/usr/sbin",
        "/usr/lib",
        "/usr/lib64",
        "/proc",
        "/sys",
        "/dev",
        "/root",
        "/var/www",
        *_FOLDERS,
    ):
        folders(path)
    folders("/var")
    put("/var/run", tarfile.SYMTYPE, 0o777, link="/run")
    for path in ("/tmp", "/var/tmp", "/run/lock"):
        folders(os.path.dirname(path))
        written.add(path)
        put(path, tarfile.DIRTYPE, 0o1777)
    elves = []
    for program, names in _PROGRAMS.items():
        real = os.path.realpath(program)
        add(_usr(program), real)
        elves.append(real)
        for name in names:
            put(f"/usr/bin/{name}", tarfile.SYMTYPE, 0o777, link=os.path.basename(program))
    for tree in _TREES:
        for path in _files(tree):
            add(_usr(path), path)
            if not os.path.islink(path) and _is_program(path):
                elves.append(path)
    for name in ("erl", "epmd", "erlc", "escript"):
        add(f"/usr/bin/{name}", f"/usr/bin/{name}")
    for library in libraries(elves):
        add(_usr(library), os.path.realpath(library))

    applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "wget" and not {f"/usr/bin/{applet}", f"/usr/sbin/{applet}"} & written:
            put(f"/usr/bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
    users = "".join(f"{name}:x:{number}:{number}::/:/bin/sh\n" for name, number in _USERS.items())
    groups = "".join(f"{name}:x:{number}:\n" for name, number in _USERS.items())
    plugins = b"[rabbitmq_management,rabbitmq_prometheus].\n"
    for path, mode, text in (
        ("/etc/passwd", 0o644, users.encode()),
        ("/etc/group", 0o644, groups.encode()),
        ("/etc/rabbitmq/enabled_plugins", 0o644, plugins),
        *((path, 0o755, (HERE / f"{name}.sh").read_bytes()) for name, path in _SCRIPTS.items()),
    ):
        put(path, tarfile.REGTYPE, mode, data=text)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info


def _usr(path: str) -> str:
    """The path in a system where /bin and /lib lead into /usr."""
    return path if path.startswith(("/usr/", "/etc/")) else f"/usr{path}"


def _files(tree: str) -> Iterator[str]:
    for folder, _, names in os.walk(tree):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if not _LEFT_OUT.search(path) and (os.path.islink(path) or os.path.isfile(path)):
                yield path


def _is_program(path: str) -> bool:
    with open(path, "rb") as stream:
        return stream.read(4) == b"\x7fELF"


def libraries(elves: list[str]) -> list[str]:
    """Every library that programs name, and the loader."""
    listing = subprocess.run(["ldd", *elves], capture_output=True, text=True, check=False).stdout
    found = re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listing, re.MULTILINE)
    return sorted({path for path in found if "LLVM" not in path})
