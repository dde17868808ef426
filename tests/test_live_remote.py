"""Engines that are not behind a socket of this machine: over TLS, by a context, over ssh. All of them on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.command import Ran, environment
from tests.lab.certificates import Authority
from tests.lab.engine import Engine, why_no_engine
from tests.lab.fixtures import active
from tests.lab.small import Small

pytestmark = pytest.mark.xdist_group("remote")

TCP = "tcp://127.0.0.1:2376"


class Remote(NamedTuple):
    """An engine that listens at ``TCP``; ``folder`` holds the certificates of a client."""

    small: Small
    certificates: Path
    others: Path

    def run(self, *args: str, without: tuple[str, ...] = (), **env: str) -> Ran:
        """Runs infra-audit where the address of the engine is on loopback."""
        command = self.small.engine.inside(*without, sys.executable, "-m", "infra_audit", *args, cwd=self.certificates)
        own = {"DOCKER_CONFIG": str(self.small.engine.folder), "PATH": os.environ["PATH"]}
        done = subprocess.run(command, env=environment(**own | env), capture_output=True, timeout=90, check=False)
        ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in ran.err, ran.err
        return ran

    def live(self, *args: str, **env: str) -> set[tuple[str, str]]:
        """What is found on the engine."""
        ran = self.run("live", "-p", "shop", "--no-probe", "all", "--format", "json", *args, **env)
        assert (ran.code, ran.err) == (0, ""), ran.err
        report = json.loads(ran.out)
        assert report["errors"] == []
        return active(report)

    def refused(self, *args: str, **env: str) -> str:
        """The one line that says why there is nothing to look at."""
        ran = self.run("live", *args, **env)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran
        return ran.err


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    why = why_no_engine() or ("" if shutil.which("openssl") else "not installed: openssl")
    if why:
        pytest.skip(why)
    top = tmp_path_factory.mktemp("tls")
    authority = Authority(top / "authority")
    server = authority.sign(top / "server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    client = authority.sign(top / "client", "extendedKeyUsage=clientAuth\n")
    others = Authority(top / "stranger").sign(top / "others", "extendedKeyUsage=clientAuth\n")
    files = {"tlscacert": "ca.pem", "tlscert": "cert.pem", "tlskey": "key.pem"}
    options = (f"--{option}={server / file}" for option, file in files.items())
    with Engine(None, "--tlsverify", *options, f"--host={TCP}") as engine:
        small = Small(engine)
        small.run("shop-app-1", "shop")
        yield Remote(small, client, others)


def known(remote: Remote) -> set[tuple[str, str]]:
    """What is found through the socket."""
    return remote.live("--host", remote.small.engine.host)


def tls(folder: Path) -> dict[str, str]:
    return {"DOCKER_HOST": TCP, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}


def test_tls_by_the_variables_of_the_docker_client(remote: Remote) -> None:
    assert remote.live(**tls(remote.certificates)) == known(remote) != set()
    variables = tls(remote.certificates)
    del variables["DOCKER_HOST"]
    assert remote.live("--host", TCP, **variables) == known(remote)


def test_another_authority_of_the_machine_does_not_count(remote: Remote) -> None:
    bundle = str(remote.others / "ca.pem")
    assert remote.live(**tls(remote.certificates), REQUESTS_CA_BUNDLE=bundle, CURL_CA_BUNDLE=bundle) == known(remote)


def test_certificates_that_do_not_fit(remote: Remote, tmp_path: Path) -> None:
    assert "unable to get local issuer certificate" in remote.refused(**tls(remote.others))
    mixed = tmp_path / "mixed"
    shutil.copytree(remote.others, mixed)
    shutil.copy(remote.certificates / "ca.pem", mixed)
    assert f"no engine at {TCP}" in remote.refused(**tls(mixed))
    (mixed / "cert.pem").unlink()
    assert f"{mixed} must hold ca.pem, and cert.pem with key.pem" in remote.refused(**tls(mixed))
    (mixed / "key.pem").unlink()
    assert f"no engine at {TCP}" in remote.refused(**tls(mixed))
    assert "must hold ca.pem" in remote.refused(**tls(tmp_path / "none"))
    assert "400" in remote.refused("--host", TCP)


def test_a_context_with_its_certificates(remote: Remote, tmp_path: Path) -> None:
    config = {"DOCKER_CONFIG": str(tmp_path)}
    files = ",".join(f"{name}={remote.certificates}/{name}.pem" for name in ("ca", "cert", "key"))
    endpoint = f"host={TCP},{files}"
    docker = {**remote.small.engine.environment, **config}
    subprocess.run(["docker", "context", "create", "secure", "--docker", endpoint], env=docker, check=True)
    assert remote.live("--context", "secure", **config) == known(remote)
    assert remote.live(DOCKER_CONTEXT="secure", **config) == known(remote)
    assert "no Docker context is called other" in remote.refused("--context", "other", **config)
    subprocess.run(["docker", "context", "use", "secure"], env=docker, check=True)
    assert remote.live(**config) == known(remote)
    assert remote.live("--host", remote.small.engine.host, **config) == known(remote)
    local = f"host={remote.small.engine.host}"
    subprocess.run(["docker", "context", "create", "local", "--docker", local], env=docker, check=True)
    assert remote.live("--context", "local", **config) == known(remote)
    next(tmp_path.glob("contexts/meta/*/meta.json")).write_text("{}")
    next(path for path in tmp_path.glob("contexts/meta/*/meta.json") if path.stat().st_size > 2).write_text("[")
    assert "the Docker context secure names no engine" in remote.refused(**config)
