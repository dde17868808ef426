"""How a Redis or Valkey server is started, and every setting that it is given on the way.

The ways: words after ``redis-server`` (string, list, ``sh -c`` script, ``--option value`` in one
word), options alone (the image's entrypoint puts the server before them), a configuration file
named first (bind, mounted folder, config) and the environment of images that read it. Later
settings win: the file first, options after it. That order and the splitting of options were seen on
redis-server 7.0 (CONFIG GET after start).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from infra_audit.deployment import Subject
from infra_audit.errors import ReadError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.redis_directives import canonical
from infra_audit.facts.redis_images import OUTPUT, Flavour, environment_settings, flavour_of
from infra_audit.facts.services import Word, environment, raw_words, sub_span
from infra_audit.facts.shell import SHELLS, Piece, base_name, commands, is_script_option
from infra_audit.named import NamedTuple, field, record
from infra_audit.patterns import Pattern
from infra_audit.readers.located import Located
from infra_audit.readers.redis_conf import read_conf, split_args
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node, is_known

__all__ = ["Setting", "Start", "Trouble", "started"]

_SERVERS = frozenset(("redis-server", "valkey-server", "redis-stack-server"))
_ENTRYPOINTS = frozenset(("docker-entrypoint.sh", "entrypoint.sh"))
_CLIENTS = frozenset(
    ("redis-cli", "valkey-cli", "redis-benchmark", "redis-sentinel", "valkey-sentinel", "redis-check-aof")
)
_WRAPPERS = {"tini": 0, "dumb-init": 0, "exec": 0, "gosu": 1, "su-exec": 1, "nice": 0, "env": 0}
"""Programs that start another one, with how many words of their own precede it."""
_OTHERS = frozenset(("sleep", "tail", "true", "cat", "echo", "sysctl", "mkdir", "chown", "chmod", "cp", "touch"))
_VARIABLE = Pattern(r"\$(?:\{(?P<long>\w+)(?:(?P<how>:?[-+?=])(?P<rest>[^{}]*))?\}|(?P<short>[A-Za-z_]\w*))")


class Setting(NamedTuple):
    """One directive as the server gets it.

    ``place`` is where its value stands, ``key`` where its name does if apart. ``scope`` tells which text it
    stands in (the command, the environment, a file's location); ``via`` says so for people. ``why``: what is
    unknown of its words, "" where they are known. The name "*" stands for a text that is not known: all
    before it may have been changed. ``insisted``: what is unknown is not empty, because Compose starts
    nothing without it.
    """

    name: str
    written: str
    words: tuple[str, ...]
    place: Node | Span
    via: str
    scope: str
    why: str = ""
    key: Node | Span | None = None
    insisted: bool = False


class Trouble(NamedTuple):
    """Something for which the server would refuse to start."""

    message: str
    place: Node | Span


@record
class Start:
    """What a service starts. ``server`` is None where that is not known, and ``why`` says it."""

    server: bool | None
    why: str = ""
    settings: list[Setting] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    flavour: Flavour | None = None

    def last(self, name: str) -> Setting | None:
        """The setting of a directive that counts, or the unknown text ("*") that may change it."""
        return next((setting for setting in reversed(self.settings) if setting.name in (name, "*")), None)

    def all(self, name: str) -> list[Setting]:
        """Every line of an accumulating directive, in order; unknown texts among them."""
        return [setting for setting in self.settings if setting.name in (name, "*")]


def started(service: Subject) -> Start:
    """How a service starts its server; computed once for each service."""
    known = service.cache.get("(redis start)")
    if not isinstance(known, Start):
        known = service.cache["(redis start)"] = _Reading(service).start()
    return known


class _Reading:
    def __init__(self, service: Subject) -> None:
        self.service = service
        self.files = ContainerFiles(service)
        self.result = Start(server=True)
        self.unset: set[str] = set()
        self.insisted: set[str] = set()

    def start(self) -> Start:
        flavour = flavour_of(self.service)
        if flavour is None:
            return Start(server=False)
        self.result.flavour = flavour
        if flavour.sentinel:
            return Start(server=False)
        words = _without_wrappers(raw_words(self.service))
        entrypoint = self.service.node.get("entrypoint")
        if not words or (entrypoint is None and _starts_the_image(words, flavour)):
            self._image_start(words, flavour)
            return self.result
        if _is_shell(words[0].text):
            return self._shell(words)
        self._program(words)
        return self.result

    # -- what is run ----------------------------------------------------------------------------

    def _image_start(self, words: list[Word], flavour: Flavour) -> None:
        """The image's own start: its environment and files first, then the options given."""
        if words and base_name(words[0].text) in _ENTRYPOINTS | {"run.sh"} | _SERVERS:
            words = words[1:]
        self._own_configuration(flavour)
        mounted = next((path for path in flavour.conf_files if self.files.mount(path)), "")
        if mounted:
            self._conf(mounted, self._mount_place(mounted), f"the configuration mounted at {mounted}")
        for setting in environment_settings(self.service, flavour, whole=not mounted):
            self._add(*setting)
        for path in flavour.overrides:
            if self.files.mount(path):
                self._conf(path, self._mount_place(path), f"the overrides mounted at {path}")
        self._extra_flags(flavour)
        self._options(words, "the command")

    def _own_configuration(self, flavour: Flavour) -> None:
        if flavour.why_unknown:
            self._unknown(flavour.why_unknown, self.service.node.get("image") or self.service.node)

    def _extra_flags(self, flavour: Flavour) -> None:
        for name in flavour.flags:
            node = environment(self.service, name)
            if node is None or node.value is None:
                continue
            text = str(node.value)
            words = [Word(piece, node) for piece in text.split()]
            self._options(words, f"the environment variable {name}")

    def _shell(self, words: list[Word]) -> Start:
        option = next((index for index, word in enumerate(words) if is_script_option(word.text)), 0)
        script = words[option + 1] if option and option + 1 < len(words) else None
        if script is None or not isinstance(script.place, Node):
            return Start(server=None, why=f"a script starts it ({words[-1].text})")
        text = str(script.place.value)
        found = [
            command.arguments
            for command in commands(text)
            if command.arguments and _server_at(command.arguments) is not None
        ]
        if len(found) > 1:
            return Start(server=None, why=f"its script starts a server in {len(found)} places")
        if not found:
            return self._script_without_server(text)
        pieces = found[0][_server_at(found[0]) or 0 :]
        expanded: list[Word] = []
        for piece in pieces:
            expanded += self._expand(piece, script.place, text)
        self._program(expanded)
        return self.result

    def _script_without_server(self, script: str) -> Start:
        programs = [command.program for command in commands(script) if command.program]
        unknown = next((name for name in programs if name.endswith(".sh") or name.startswith("$")), "")
        if unknown:
            return Start(server=None, why=f"a script starts it ({unknown})")
        return Start(server=False)

    def _program(self, words: list[Word]) -> None:
        program = base_name(words[0].text)
        flavour = self.result.flavour
        if program in _SERVERS:
            self._server(words[1:])
        elif program in _ENTRYPOINTS and len(words) > 1 and base_name(words[1].text) in _SERVERS:
            self._server(words[2:])
        elif program in _CLIENTS or program in _OTHERS:
            self.result.server = False
        elif flavour is not None and flavour.official and (program.startswith("-") or program.endswith(".conf")):
            self._server(words)
        else:
            self.result.server = None
            self.result.why = f"a script or program of its own starts it ({words[0].text.replace(HOLE, '?')})"

    def _server(self, words: list[Word]) -> None:
        """The words after the server's name: a configuration file first, if any, then options."""
        if any(word.text == "--sentinel" for word in words):
            self.result.server = False
            return
        flavour = self.result.flavour
        if flavour is not None and self.service.node.get("entrypoint") is None:
            self._own_configuration(flavour)
        if words and not words[0].text.startswith("-"):
            self._conf(words[0].text, words[0].place, "the configuration given to the server")
            words = words[1:]
        elif words and words[0].text == "-":
            self._unknown("its configuration comes from standard input", words[0].place)
            words = words[1:]
        self._options(words, "the command")
        if flavour is not None and flavour.official:
            self._extra_flags(flavour)

    # -- words ------------------------------------------------------------------------------------

    def _options(self, words: Sequence[Word], via: str) -> None:
        """``--name value value --name "value"``; the word after a name is a value whatever it looks like."""
        scope = via
        name: Word | None = None
        values: list[Word] = []
        for word in words:
            if word.text.startswith("--") and (name is None or values or name.text == "--save"):
                self._option(name, values, via, scope)
                name, values = self._named(word)
            elif name is None:
                self.result.troubles.append(Trouble(f"{word.text!r} is no option; options begin with --", word.place))
            else:
                values.append(word)
        self._option(name, values, via, scope)

    def _named(self, word: Word) -> tuple[Word, list[Word]]:
        """An option's name, and the values that stand in the same word."""
        try:
            parts = split_args(word.text)
        except ValueError as error:
            self.result.troubles.append(Trouble(f"{word.text!r}: {error}", word.place))
            return word, []
        if len(parts) < 2:
            return word, []
        values = []
        for text, start, end in parts[1:]:
            place = sub_span(word.place, start, end) if isinstance(word.place, Node) else word.place
            values.append(Word(text, place))
        return Word(parts[0][0], word.place), values

    def _option(self, name: Word | None, values: list[Word], via: str, scope: str) -> None:
        if name is None:
            return
        written = name.text[2:].strip()
        if written == "include" and values:
            self._conf(values[0].text, values[0].place, "an included configuration")
            return
        texts = tuple(value.text for value in values)
        if written.lower() == "save" and not texts:
            texts = ("",)
        self._add(written, texts, values[0].place if values else name.place, via, scope, name.place)

    def _add(
        self,
        written: str,
        words: tuple[str, ...],
        place: Node | Span,
        via: str,
        scope: str,
        key: Node | Span | None = None,
    ) -> None:
        why, insisted = "", False
        if any(HOLE in word for word in words) or HOLE in written:
            if isinstance(place, Node) and not is_known(place.value):
                why, insisted = place.why_unknown(), _is_insisted_on(place)
            else:
                why = f"{', '.join(sorted(self.unset)) or 'a variable'} has no value in the files"
                insisted = bool(self.unset) and self.unset <= self.insisted
        elif any(OUTPUT in word for word in words):
            why = "its value is made when the container starts"
        setting = Setting(canonical(written), written, words, place, via, scope, why, key, insisted)
        self.result.settings.append(setting)

    def _unknown(self, why: str, place: Node | Span) -> None:
        self.result.settings.append(Setting("*", "", (), place, "", "", why))

    def _expand(self, piece: Piece, script: Node, text: str) -> list[Word]:
        """A word of a script with the variables of the service's environment filled in."""
        place = sub_span(script, piece.start, piece.end)
        raw = text[piece.start : piece.end]
        value = piece.text
        if HOLE in value:
            return [Word(value, script)]
        if raw.startswith("'"):
            return [Word(value, place)]
        if "$(" in value or "`" in value:
            return [Word(OUTPUT, place)]
        filled = _VARIABLE.sub(self._variable, value)
        if "${" in filled:
            self.unset.add(value)
            filled = HOLE
        if not filled and '"' not in raw:
            return []
        if '"' not in raw and any(char in filled for char in " \t\n") and filled != value:
            return [Word(part, place) for part in filled.split()]
        return [Word(filled, place)]

    def _variable(self, match: re.Match[str]) -> str:
        node = environment(self.service, match["long"] or match["short"])
        value = None if node is None or node.value is None else str(node.value)
        if value is None or HOLE in value:
            name = match["long"] or match["short"]
            self.unset.add(name)
            if node is not None and _is_insisted_on(node):
                self.insisted.add(name)
        how, rest = match["how"] or "", match["rest"] or ""
        if value is None and not how:
            return HOLE
        empty = value is None or (how.startswith(":") and not value)
        if how.endswith(("-", "=")):
            return rest if empty else str(value)
        if how.endswith("+"):
            return "" if empty else rest.strip("\"'")
        return HOLE if value is None else value

    # -- files ------------------------------------------------------------------------------------

    def _mount_place(self, path: str) -> Node | Span:
        mount = self.files.mount(path)
        return mount.node if mount else self.service.node

    def _conf(self, path: str, place: Node | Span, what: str) -> None:
        """A configuration file, as the container sees it, with all that it includes."""
        if HOLE in path or OUTPUT in path:
            self._unknown(f"{what} has a path that is not known", place)
            return
        try:
            source = self.files.open(self._absolute(path))
        except Undecidable as error:
            self._unknown(f"{what}: {error.message}", place)
            return
        except ReadError as error:
            self._unknown(f"{what}, {path}, cannot be read: {error}", place)
            return
        conf = read_conf(source, self._open_include)
        for problem in conf.problems:
            if problem.decided:
                self.result.troubles.append(Trouble(problem.message, problem.span))
            else:
                self._unknown(problem.message, problem.span)
        for directive in conf.directives:
            words = tuple(word.text for word in directive.words)
            spot = directive.words[0].span if directive.words else directive.key
            if len(directive.words) > 1 and directive.words[0].span.line == directive.words[-1].span.line:
                spot = _joined(directive.words[0].span, directive.words[-1].span)
            via = base_name(directive.key.source.path)
            self._add(directive.name, words, spot, via, directive.file, directive.key)

    def _absolute(self, path: str) -> str:
        folder = self.service.node.get("working_dir")
        flavour = self.result.flavour
        base = str(folder.known()) if folder is not None and folder.value else (flavour.folder if flavour else "/data")
        return posixpath.normpath(posixpath.join(base, path))

    def _open_include(self, path: str) -> Sequence[Located]:
        absolute = self._absolute(path)
        if not any(char in absolute for char in "*?["):
            return [self.files.open(absolute)]
        if self.files.mount(posixpath.dirname(absolute)) is None:
            raise Undecidable(f"{posixpath.dirname(absolute)} is not mounted, so the image brings it")
        return [self.files.open(found) for found in self.files.glob(absolute)]


def _is_insisted_on(node: Node) -> bool:
    """True where every variable without a value is written ``${NAME:?…}``: Compose does not start without one."""
    kinds = {hop.kind for hop in node.hops}
    return "required" in kinds and "unset" not in kinds


def _joined(first: Span, last: Span) -> Span:
    return Span(first.source, first.line, first.column, last.end_line, last.end_column)


def _without_wrappers(words: list[Word]) -> list[Word]:
    """The words without an init or user-changing program before the real one."""
    while words and base_name(words[0].text) in _WRAPPERS:
        own = _WRAPPERS[base_name(words[0].text)]
        words = words[1:]
        while words and (words[0].text.startswith("-") or re.match(r"[A-Za-z_]\w*=", words[0].text)):
            words = words[1:]
        words = words[own:]
    return words


def _is_shell(word: str) -> bool:
    return base_name(word) in SHELLS


def _starts_the_image(words: list[Word], flavour: Flavour) -> bool:
    """True where the words go to a start script of the image that also reads its environment."""
    return bool(flavour.start_script) and words[0].text.endswith(flavour.start_script)


def _server_at(pieces: Sequence[Piece]) -> int | None:
    """Where the server's name stands in a command, after programs that start another one."""
    for index, piece in enumerate(pieces):
        name = base_name(piece.text)
        if name in _SERVERS:
            return index
        if name not in _WRAPPERS and name not in _ENTRYPOINTS and index == 0:
            return None
        if index > 3:
            return None
    return None
