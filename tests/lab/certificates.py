"""Certificates for an engine behind TLS, made with openssl: an authority, and what it signs."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["Authority"]


class Authority:
    """An authority in a folder of its own. ``ca.pem``: what others need to know of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.file = folder / "ca.pem"
        subject = ("-subj", f"/CN={folder.name}", "-days", "2")
        self._openssl("req", "-x509", *_KEY, "-keyout", "ca-key.pem", "-out", "ca.pem", *subject)

    def sign(self, folder: Path, extensions: str) -> Path:
        """A folder with ``ca.pem``, ``cert.pem`` and ``key.pem``, as the Docker client wants them."""
        folder.mkdir(parents=True)
        request, extra = folder / "request.pem", folder / "extensions"
        extra.write_text(extensions)
        self._openssl("req", *_KEY, "-keyout", folder / "key.pem", "-out", request, "-subj", "/CN=engine")
        by = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2")
        self._openssl("x509", "-req", "-in", request, *by, "-extfile", extra, "-out", folder / "cert.pem")
        (folder / "ca.pem").write_bytes(self.file.read_bytes())
        return folder

    def _openssl(self, *args: str | Path) -> None:
        subprocess.run(["openssl", *map(str, args)], cwd=self.folder, check=True, capture_output=True, timeout=60)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
