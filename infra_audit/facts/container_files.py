"""Files as a container sees them: through bind mounts, configs and secrets of its service."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from fnmatch import fnmatchcase

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.named import NamedTuple
from infra_audit.readers.located import Inline, Located
from infra_audit.source import display_path
from infra_audit.tree import HOLE, Node, holes_as_text

__all__ = ["ContainerFiles", "Mount"]


class Mount(NamedTuple):
    """Something mounted. ``host``: absolute path of a bind, config or secret file, or None.

    ``inline``: the node of a config's ``content``. With neither, the content is not in the files
    (a named volume, tmpfs, an external config) and ``why`` says so.
    """

    target: str
    node: Node
    host: str | None = None
    inline: Node | None = None
    why: str = ""


class ContainerFiles:
    """The files that a service's mounts put into its containers."""

    def __init__(self, service: Subject) -> None:
        self._service = service
        self._reader = service.deployment.reader
        mounts = [*self._volumes(), *self._grants("configs", "/"), *self._grants("secrets", "/run/secrets/")]
        self.mounts = sorted(mounts, key=lambda mount: len(mount.target), reverse=True)

    def mount(self, path: str) -> Mount | None:
        """The mount through which a path is seen, or None where the image's own file is seen."""
        path = posixpath.normpath(path)
        return next((mount for mount in self.mounts if _below(path, mount.target) is not None), None)

    def open(self, path: str) -> Located:
        """The file at a path inside the container.

        Raises ReadError where it cannot be read, Undecidable where its content is not in the files.
        """
        mount = self.mount(path)
        if mount is None:
            raise Undecidable(f"{path} is not mounted, so the image brings it")
        if mount.inline is not None:
            mount.inline.known()
            return Inline(mount.inline, f"{mount.inline.span.source.location}#{mount.target}")
        return self._reader.read(self._host(mount, path))

    def listing(self, path: str) -> list[str]:
        """Names in a folder inside the container, as far as mounts give them; sorted.

        Raises Undecidable where the folder is a volume whose content is not in the files.
        """
        path = posixpath.normpath(path)
        names = {
            rest.split("/")[0] for mount in self.mounts if (rest := _below(mount.target, path)) and mount.target != path
        }
        mount = self.mount(path)
        if mount is not None and mount.inline is None:
            host = self._host(mount, path)
            if not self._reader.exists(host):
                raise Undecidable(f"{path} is mounted from {display_path(host)}, which is not here")
            names.update(self._reader.listing(host))
        return sorted(names)

    def glob(self, pattern: str) -> list[str]:
        """Paths inside the container that fit a pattern with wildcards in its last part; sorted."""
        folder, name = posixpath.split(pattern)
        return [posixpath.join(folder, found) for found in self.listing(folder) if fnmatchcase(found, name)]

    def is_folder(self, path: str) -> bool:
        """True for a folder inside the container that is mounted, or that something is mounted into."""
        path = posixpath.normpath(path)
        mount = self.mount(path)
        if (mount is None or mount.target != path) and any(_below(one.target, path) for one in self.mounts):
            return True
        return mount is not None and mount.host is not None and self._reader.is_folder(self._host(mount, path))

    def walk(self, folder: str, ending: str, depth: int = 8) -> Iterator[str]:
        """Paths of files below a folder inside the container, hidden folders left out; sorted by folder.

        Raises Undecidable where a folder is a volume whose content is not in the files.
        """
        for name in self.listing(folder):
            path = posixpath.join(folder, name)
            if self.is_folder(path):
                if depth and not name.startswith("."):
                    yield from self.walk(path, ending, depth - 1)
            elif name.endswith(ending):
                yield path

    def is_image_folder(self, path: str) -> bool:
        """True where a folder is the image's own, perhaps with single files mounted into it."""
        return self.mount(path) is None

    def _host(self, mount: Mount, path: str) -> str:
        if mount.host is None:
            raise Undecidable(f"{path} lies in {mount.why}")
        if HOLE in mount.host:
            raise Undecidable(f"{path} is mounted from a path that rests on a variable that is not set")
        rest = _below(posixpath.normpath(path), mount.target)
        return f"{mount.host}/{rest}" if rest else mount.host

    def _volumes(self) -> list[Mount]:
        volumes = self._service.node.get("volumes")
        mounts = []
        for node in volumes.entries() if volumes else ():
            target, source, kind = (_text(node.get(key)) for key in ("target", "source", "type"))
            if not target or HOLE in target:
                continue
            target = posixpath.normpath(target)
            if kind == "bind" and source:
                mounts.append(Mount(target, node, host=source))
            else:
                name = node.get("source") or node
                shown = holes_as_text(source, name.hops) or target
                mounts.append(Mount(target, node, why=f"the {kind or 'volume'} {shown}"))
        return mounts

    def _grants(self, section: str, folder: str) -> list[Mount]:
        """Configs or secrets that the service is given."""
        grants = self._service.node.get(section)
        mounts = []
        for node in grants.entries() if grants else ():
            name = _text(node.get("source"))
            target = _text(node.get("target")) or name
            if not target:
                continue
            target = posixpath.normpath(posixpath.join(folder, target))
            top = self._service.deployment.tree.get(section, name)
            file = top.get("file") if top else None
            content = top.get("content") if top else None
            if content is not None:
                mounts.append(Mount(target, content, inline=content))
            elif file is not None:
                mounts.append(Mount(target, node, host=_text(file)))
            else:
                mounts.append(Mount(target, node, why=f"the {section[:-1]} {name}, whose content is not in the files"))
        return mounts


def _text(node: Node | None) -> str:
    return "" if node is None or node.value is None or not node.is_scalar else str(node.value)


def _below(path: str, folder: str) -> str | None:
    """The rest of a path below a folder, "" for the folder itself, None where it is not in it."""
    if path == folder:
        return ""
    prefix = folder if folder.endswith("/") else folder + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None
