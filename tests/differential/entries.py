"""Cases of one entry each: a service, a network, …, alone or laid on another one.

Many such cases go into one question, because each has a name of its own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.differential.flow import Raw, Tree, flow, paths, read, replaced, without

__all__ = ["NAME", "Entry", "everything", "files"]

HERE = Path(__file__).parent
VALUES: dict[str, dict[str, list[str]]] = yaml.safe_load((HERE / "values.yaml").read_text("utf-8"))
MADE: dict[str, Any] = yaml.safe_load((HERE / "pieces.yaml").read_text("utf-8"))
CONFUSIONS: list[str] = MADE["confusions"]

ALONE = ("build", "image", "provider")
"""The keys that give a service something to run."""

USES = {
    "networks": "networks: [§]",
    "volumes": 'volumes: ["§:/x"]',
    "secrets": "secrets: [§]",
    "configs": "configs: [§]",
    "models": "models: [§]",
}
SHARED = {
    "services": ["z: {image: z}", "y: {image: y}"],
    "networks": ["n: {}"],
    "volumes": ["v: {}"],
    "secrets": ["s: {file: ./s}"],
    "configs": ["s: {file: ./s}"],
    "models": ["m: {model: ai/m}"],
}
BESIDE = {
    "one.env": "A=one\nONE=1\n",
    "two.env": "A=two\nTWO=${ONE}\n",
    "raw.env": "RAW='${A}' # x\n",
    "one.labels": "a=one\n",
    "two.labels": "a=two\n",
}
NAME = "§"
"""Stands for the entry's own name."""


class Entry(NamedTuple):
    """``base`` and what is laid on it, ``over`` ("" for nothing), by ``way``: override, extends or file."""

    label: str
    section: str
    base: str
    over: str = ""
    way: str = "override"


def files(entries: Sequence[Entry]) -> dict[str, str]:
    """The texts of the files that hold these cases, called s0, s1, …"""
    first = {section: list(shared) for section, shared in SHARED.items()}
    second: dict[str, list[str]] = {section: [] for section in SHARED}
    extended: list[str] = []
    for index, entry in enumerate(entries):
        name = f"s{index}"
        base, over = entry.base.replace(NAME, name), entry.over.replace(NAME, name)
        if entry.section != "services":
            first["services"].append(f"{name}: {{image: a, {USES[entry.section].replace(NAME, name)}}}")
        if entry.way == "override" or not over:
            first[entry.section].append(f"{name}: {base}")
            if over:
                second[entry.section].append(f"{name}: {over}")
            continue
        target = f"{{service: b{index}, file: base/base.yaml}}" if entry.way == "file" else f"b{index}"
        rest = over[1:] if over != "{}" else "}"
        first["services"].append(f"{name}: {{extends: {target}, {rest}")
        (extended if entry.way == "file" else first["services"]).append(f"b{index}: {base}")
    texts = {"compose.yaml": _document(first), **BESIDE}
    if any(second.values()):
        texts["compose.two.yaml"] = _document(second)
    if extended:
        texts["base/base.yaml"] = _document({"services": extended})
        texts |= {f"base/{name}": text.upper() for name, text in BESIDE.items()}
    return texts


def _document(sections: dict[str, list[str]]) -> str:
    lines = []
    for section, entries in sections.items():
        if entries:
            lines += [f"{section}:", *(f"  {entry}" for entry in entries)]
    return "\n".join(lines) + "\n"


def _entry(section: str, key: str, value: str) -> str:
    """An entry with one key, and an image where it needs one."""
    image = "" if section != "services" or key in ALONE else "image: a, "
    model = "model: x, " if section == "models" and key != "model" else ""
    inline = "file: ./x, " if section in ("secrets", "configs") and key in ("labels", "name", "x-a", "driver") else ""
    return f"{{{image}{model}{inline}{key}: {value}}}"


def values() -> Iterator[Entry]:
    """Each value by itself."""
    for section, keys in VALUES.items():
        for key, texts in keys.items():
            for text in texts:
                yield Entry(f"value {section}.{key}", section, _entry(section, key, text))


def _parts() -> Iterator[tuple[str, str, Tree, tuple[str | int, ...]]]:
    """Each kind of place once or twice: section, key, a whole value and the place in it."""
    seen: dict[tuple[str, str, tuple[str, ...]], int] = {}
    for section, keys in VALUES.items():
        for key, texts in keys.items():
            for text in texts:
                tree = read(text)
                for path in paths(tree):
                    kind = (section, key, tuple("[]" if isinstance(step, int) else step for step in path))
                    seen[kind] = seen.get(kind, 0) + 1
                    if seen[kind] <= 2:
                        yield section, key, tree, path


def _dotted(section: str, key: str, path: tuple[str | int, ...]) -> str:
    return ".".join([section, key, *("[]" if isinstance(step, int) else step for step in path)])


def confused() -> Iterator[Entry]:
    """Each place with something else in it, or taken away."""
    for section, key, tree, path in _parts():
        where = _dotted(section, key, path)
        for other in CONFUSIONS:
            text = flow(replaced(tree, path, Raw(other)))
            yield Entry(f"confused {where} {other}", section, _entry(section, key, text))
        if path:
            yield Entry(f"missing {where}", section, _entry(section, key, flow(without(tree, path))))


def templates() -> Iterator[Entry]:
    """Each scalar from a variable: what it is cast to."""
    for section, key, tree, path in _parts():
        here: Any = tree
        for step in path:
            here = here[step]
        if isinstance(here, Raw) and here != "null" and not here.startswith("!"):
            plain = here[1:-1] if here.startswith('"') else here
            for text in (f'"${{UNSET:-{plain}}}"', f'"{plain}"'):
                text = flow(replaced(tree, path, Raw(text)))
                yield Entry(f"template {_dotted(section, key, path)}", section, _entry(section, key, text))


def merges() -> Iterator[Entry]:
    """Each value laid on each other one of the same key, taken away, and replaced whole."""
    for section, keys in VALUES.items():
        ways = ("override", "extends", "file") if section == "services" else ("override",)
        for key, texts in keys.items():
            base_key = {"image": "build"}.get(key, key)
            for base in texts:
                for over in (*texts, "null", "{}", "[]", '""', *(f"!override {text}" for text in texts), "!reset null"):
                    for way in ways:
                        label = f"merge {section}.{base_key} {way} {over.split()[0] if over.startswith('!') else ''}"
                        yield Entry(label, section, _entry(section, key, base), f"{{{key}: {over}}}", way)


def deep_tags() -> Iterator[Entry]:
    """`!reset` and `!override` at each place of a value."""
    for section, key, tree, path in _parts():
        for tag in ("!reset null", "!override x", "!override {}", "!override []", "!reset x"):
            over = flow(replaced(tree, path, Raw(tag)))
            where = _dotted(section, key, path)
            yield Entry(f"tag {tag} {where}", section, _entry(section, key, flow(tree)), f"{{{key}: {over}}}")


TYPED = ("mem_limit", "cpus", "pids_limit", "privileged", "scale", "cpu_shares", "user", "shm_size")
NOT_PLAIN = frozenset(",#&*!|>%@`?:='")


def pieces(random_: random.Random) -> Iterator[Entry]:
    """Texts made of pieces, without end."""
    while True:
        for name, made in MADE["pieces"].items():
            text = json.dumps("".join(random_.choices(made["of"], k=random_.randint(1, 6))), ensure_ascii=False)
            yield Entry(f"pieces {name}", "services", made["at"].replace("¤", text))
        for _ in range(3):
            plain = "".join(random_.choices(MADE["plain"], k=random_.randint(1, 4)))
            if not set(plain) & NOT_PLAIN:
                yield Entry("pieces plain", "services", f"{{image: a, environment: {{A: {plain}}}, x-a: {plain}}}")
                key = random_.choice(TYPED)
                yield Entry(f"pieces plain {key}", "services", f"{{image: a, {key}: {plain}}}")


def mixed(random_: random.Random) -> Iterator[Entry]:
    """A place of a value laid on another value of that key, without end: forms that do not fit each other."""
    everywhere = list(_parts())
    while True:
        section, key, tree, path = random_.choice(everywhere)
        over = flow(replaced(tree, path, Raw(random_.choice(CONFUSIONS))))
        base = _entry(section, key, random_.choice(VALUES[section][key]))
        way = random_.choice(("override", "extends", "file")) if section == "services" else "override"
        laid = f"{{{key}: {over}}}"
        if random_.random() < 0.3:
            base, laid = _entry(section, key, over), f"{{{key}: {random_.choice(VALUES[section][key])}}}"
        yield Entry(f"mixed {_dotted(section, key, path)} {way}", section, base, laid, way)


everything = (values, confused, templates, merges, deep_tags)
