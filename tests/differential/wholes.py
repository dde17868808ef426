"""Cases that are a whole folder: changed real deployments, made-up YAML, env files, includes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.differential.entries import CONFUSIONS, MADE
from tests.differential.flow import Raw, Tree, flow, paths, read, replaced, without

__all__ = ["Whole", "env_files", "mutants", "yaml_texts"]

MAX_BYTES = 60_000


class Whole(NamedTuple):
    label: str
    files: dict[str, str]
    profiles: tuple[str, ...] = ("*",)


def mutants(corpus: Path, random_: random.Random) -> Iterator[Whole]:
    """Real Compose files with one or two changes, beside their neighbours, without end."""
    originals = sorted(path for path in corpus.rglob("*compose*.y*ml") if path.is_file())
    while True:
        path = random_.choice(originals)
        try:
            text = path.read_text("utf-8")
            tree = read(text) if len(text) < MAX_BYTES else None
        except (yaml.YAMLError, UnicodeDecodeError, AssertionError):
            continue
        if not isinstance(tree, dict):
            continue
        changed, label = tree, ""
        for _ in range(random_.randint(1, 2)):
            changed, label = _changed(changed, random_)
        files = {"compose.yaml": flow(changed) + "\n", **_beside(path)}
        if random_.random() < 0.4:
            over = _part(tree, random_)
            files["compose.two.yaml"] = flow(_changed(over, random_)[0] if random_.random() < 0.5 else over) + "\n"
        profiles = ("*",) if random_.random() < 0.7 else ()
        yield Whole(f"mutant {label}", files, profiles)


def _beside(path: Path) -> dict[str, str]:
    """The small texts in the folder of a file, which it may name."""
    found = {}
    for other in sorted(path.parent.iterdir()):
        if other.is_file() and other.suffix in (".env", ".yml", ".yaml", "") and other != path:
            try:
                if other.stat().st_size < MAX_BYTES and not other.name.startswith("compose"):
                    found[other.name] = other.read_text("utf-8")
            except UnicodeDecodeError:
                continue
    return found


def _changed(tree: Any, random_: random.Random) -> tuple[Any, str]:
    places = [path for path in paths(tree) if path]
    if not places:
        return tree, "nothing"
    path = random_.choice(places)
    shown = ".".join("[]" if isinstance(step, int) else step for step in path[2:] or path)
    kind = random_.choice(("without", "confused", "other", "tagged", "copied"))
    if kind == "without":
        return without(tree, path), f"without {shown}"
    if kind == "confused":
        other = random_.choice(CONFUSIONS)
        return replaced(tree, path, Raw(other)), f"confused {shown} {other}"
    here: Any = tree
    for step in path:
        here = here[step]
    if kind == "tagged":
        return replaced(tree, path, Raw(f"{random_.choice(('!reset', '!override'))} {flow(here)}")), f"tagged {shown}"
    donor: Any = tree
    for step in random_.choice(places):
        donor = donor[step]
    if kind == "copied" and isinstance(here, list):
        return replaced(tree, path, [*here, *here[:1]]), f"copied {shown}"
    return replaced(tree, path, donor), f"other {shown}"


def _part(tree: Any, random_: random.Random) -> Tree:
    """About half of the keys of a tree, at every depth, lists whole."""
    if not isinstance(tree, dict):
        return tree  # type: ignore[no-any-return]
    return {key: _part(value, random_) for key, value in tree.items() if random_.random() < 0.6}


def env_files(random_: random.Random) -> Iterator[Whole]:
    """Made-up env files, for the interpolation and for a service, without end."""
    while True:
        text = "".join(random_.choices(MADE["env"], k=random_.randint(1, 14)))
        service = (
            "services: {a: {image: a, env_file: one.env, environment: [K, L], labels: {a: '${A}', b: '${B-x}'}}}\n"
        )
        name = random_.choice((".env", "one.env"))
        yield Whole(f"env file {name}", {"compose.yaml": service, "one.env": "", name: text})


def yaml_texts(random_: random.Random) -> Iterator[Whole]:
    """Made-up YAML, without end."""
    head = "services: {a: {image: a}}\nx-a:\n"
    while True:
        lines = [
            "  " + "".join(random_.choices(MADE["yaml"], k=random_.randint(1, 6))) for _ in range(random_.randint(1, 5))
        ]
        yield Whole("yaml", {"compose.yaml": head + "\n".join(lines) + "\n"})
