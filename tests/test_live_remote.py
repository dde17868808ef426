"""Engines that are not behind a socket of this machine: over TLS, by a context, over ssh. All of them on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.command import Ran, environment, infra_audit
from tests.lab.certificates import Authority
from tests.lab.engine import Engine, why_no_engine
from tests.lab.fixtures import active
from tests.lab.small import Small
from tests.servers import free_port

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


class Shell(NamedTuple):
    """A server of ssh beside the engine; ``client`` is a folder with an ``ssh`` that knows its key and one of ours."""

    remote: Remote
    host: str
    client: Path

    def env(self, **more: str) -> dict[str, str]:
        return {"PATH": f"{self.client}:{os.environ['PATH']}"} | more


@pytest.fixture(scope="module")
def shell(remote: Remote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    server = shutil.which("sshd")
    if server is None or shutil.which("ssh-keygen") is None:
        pytest.skip("not installed: openssh-server")
    folder = tmp_path_factory.mktemp("ssh")
    port = free_port()
    for name in ("host", "mine", "strange"):
        key = ("-q", "-t", "ed25519", "-N", "", "-f", folder / name)
        subprocess.run(["ssh-keygen", *map(str, key)], check=True, timeout=60)
    words = (folder / "host.pub").read_text().split()[:2]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {' '.join(words)}\n")
    (folder / "client").mkdir()
    use_key(folder, "mine")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/mine.pub\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"SetEnv DOCKER_HOST={remote.small.engine.host}\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)  # it refuses to run without this empty folder
    command = remote.small.engine.inside(server, "-D", "-e", "-f", folder / "sshd_config", cwd=folder)
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            until = time.monotonic() + 20
            while "Server listening" not in (folder / "log").read_text():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, "sshd does not start"
                time.sleep(0.1)
            yield Shell(remote, f"ssh://root@127.0.0.1:{port}", folder / "client")
        finally:
            process.terminate()


def use_key(folder: Path, name: str) -> None:
    """The tester's own settings and keys stay out of it."""
    options = (f"-oIdentityFile={folder}/{name}", "-oIdentitiesOnly=yes", "-oBatchMode=yes", "-F/dev/null")
    known = f"-oUserKnownHostsFile={folder}/known"
    program = folder / "client" / "ssh"
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {" ".join(options)} {known} "$@"\n')
    program.chmod(0o755)


def test_ssh(shell: Shell, tmp_path: Path) -> None:
    remote = shell.remote
    assert remote.live("--host", shell.host, **shell.env()) == known(remote)
    assert remote.live(**shell.env(DOCKER_HOST=shell.host)) == known(remote)
    config = {"DOCKER_CONFIG": str(tmp_path)}
    made = ["docker", "context", "create", "far", "--docker", f"host={shell.host}"]
    subprocess.run(made, env={**remote.small.engine.environment, **config}, check=True)
    assert remote.live("--context", "far", **shell.env(**config)) == known(remote)


def test_ssh_that_does_not_let_us_in(shell: Shell) -> None:
    use_key(shell.client.parent, "strange")
    try:
        told = shell.remote.refused("--host", shell.host, **shell.env())
        assert re.search(f"no engine at {shell.host}: .*Permission denied", told)
    finally:
        use_key(shell.client.parent, "mine")
    nobody = f"ssh://root@127.0.0.1:{free_port()}"
    assert f"no engine at {nobody}: ssh: connect to host" in shell.remote.refused("--host", nobody, **shell.env())
    assert "needs the program ssh" in infra_audit("live", "--host", nobody, PATH="/nowhere").err


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("tcp://127.0.0.1:{port}", "nothing listens there"),
        ("tcp://no-such-host.invalid", "nobody knows this name"),
        ("tcp://127.0.0.1:port", "is no address of an engine"),
        ("tcp://", "is no address of an engine"),
        ("ssh://", "is no address of an engine"),
        ("carrier-pigeon://roof", "is no address of an engine"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_line(host: str, says: str) -> None:
    ran = infra_audit("live", "--host", host.format(port=free_port()))
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert says in ran.err


def test_what_answers_and_is_no_engine_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def talk() -> None:
            with server.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"-ERR unknown command\r\n")

        threading.Thread(target=talk, daemon=True).start()
        ran = infra_audit("live", "--host", f"tcp://127.0.0.1:{port}")
    assert (ran.code, ran.err) == (2, f"infra-audit: what answers at tcp://127.0.0.1:{port} is no engine\n")
