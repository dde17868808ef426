"""What an audit says: findings, gaps, errors, and the report that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

from infra_audit.errors import InfraAuditError
from infra_audit.named import NamedTuple, field, record
from infra_audit.source import Span

__all__ = [
    "CIS_BENCHMARK",
    "DeploymentInfo",
    "Description",
    "Edit",
    "Example",
    "Finding",
    "Gap",
    "Problem",
    "Related",
    "Report",
    "Severity",
    "SubjectRef",
    "Suppression",
]


class Severity(IntEnum):
    """How bad a finding is; greater is worse."""

    info = 1
    warning = 2
    error = 3


class SubjectRef(NamedTuple):
    """The name of a subject in a report, such as ("service", "redis")."""

    kind: str
    name: str


class Related(NamedTuple):
    """Another place that a finding rests on, with what stands there."""

    span: Span
    note: str


class Suppression(NamedTuple):
    """Why a finding does not count: where it was switched off, and the reason given there.

    ``inline``: by a comment in the file itself.
    """

    by: str
    reason: str
    inline: bool = False


@record
class Finding:
    """A policy that does not hold for a subject.

    ``place`` is where the caret stands; it must be a span, so a finding without a place cannot be
    made. ``evidence`` is what the fingerprint rests on beside policy and subject: stable when
    lines move or the message is reworded. ``value`` and ``expected`` are plain JSON values.
    """

    policy: str
    severity: Severity
    deployment: str
    subject: SubjectRef
    message: str
    place: Span
    value: Any = None
    expected: Any = None
    related: tuple[Related, ...] = ()
    fix: str = ""
    evidence: str = ""
    edits: tuple[Edit, ...] = ()
    suppressed: Suppression | None = None
    folded: bool = False
    """True for a comparison with a plan that was not adopted: text reports fold these."""

    def __post_init__(self) -> None:
        if not isinstance(self.place, Span):
            raise TypeError(f"finding of {self.policy} without a place")

    @property
    def fixable(self) -> bool:
        """True where `infra-audit fix` may mend it by itself."""
        return any(edit.safe and not edit.refused for edit in self.edits)

    @property
    def fingerprint(self) -> str:
        """16 hex digits, the same for the same policy, subject and evidence.

        A deployment's name is left out: it may be that of the folder that somebody cloned into.
        """
        import hashlib  # costs more than a report without fingerprints needs

        kind, name = self.subject
        text = "\0".join((self.policy, kind, "" if kind == "deployment" else name, self.evidence))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Gap(NamedTuple):
    """A policy that could not be decided for a subject, and why. ``internal`` marks a defect of ours."""

    policy: str
    deployment: str
    subject: SubjectRef
    why: str
    internal: bool = False


class Problem(NamedTuple):
    """Something that loading a deployment met.

    ``kind`` names the policy family that speaks of it: "invalid" (Compose refuses it), "env-file-missing",
    "env-file-invalid", "silent"
    (Compose accepts it and does something else), "unknown-key", "obsolete", "ineffective" (a limit
    that is accepted and dropped), "version-needed", "gap" (cannot be decided here, such as an
    include from the network). ``subject`` is the part of the deployment that it is about.
    """

    kind: str
    message: str
    span: Span
    subject: SubjectRef = SubjectRef("deployment", "")
    related: tuple[Related, ...] = ()


class DeploymentInfo(NamedTuple):
    """A deployment as reports name it. ``notes`` are lines such as which files were merged."""

    name: str
    source: str
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Edit(NamedTuple):
    """A change of the file that owns a value, at the finding's place (or at ``place``).

    ``kind``: set (the scalar there becomes ``value``), remove (the entry of the key ``value`` goes), add (the
    mapping there gets the keys of ``value``). ``safe``: it does what the team documented, or changes nothing
    that runs. ``refused``: why it cannot be made here, "" where it can.
    """

    kind: str
    value: Any
    place: Span
    safe: bool = False
    refused: str = ""


class Example(NamedTuple):
    """File name → text. ``findings``: the places (file:line) in files that hold no marks.

    A name as ``docker:shop-web-1`` stands for what the engine says about a thing, where that is other than of one in
    which all is well.
    """

    files: Mapping[str, str]
    findings: Sequence[str] = ()


CIS_BENCHMARK = "CIS Docker Benchmark 1.6.0"
"""The benchmark whose numbers policies name: of June 2023, which has AppArmor profiles as 5.2 and swarm mode as 5.1."""


class Description(NamedTuple):
    """A policy for people. Prose is plain text in paragraphs; ``examples`` are of the kinds "bad" and "good".

    ``cis``: the recommendations of CIS_BENCHMARK that it checks, by number.
    """

    id: str
    title: str
    severity: Severity
    subject: str
    pack: str
    family: str
    why: str
    fix: str
    references: Sequence[str] = ()
    cis: Sequence[str] = ()
    examples: Mapping[str, Sequence[Example]] = {}


@record
class Report:
    """All that one run found. Order: as met; reporters sort.

    ``policies``: what gives a policy's description, by id; called only by reports that show it.
    """

    deployments: list[DeploymentInfo] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    errors: list[InfraAuditError] = field(default_factory=list)
    left_out: list[InfraAuditError] = field(default_factory=list)
    policies: dict[str, Callable[[], Description]] = field(default_factory=dict)

    def active(self) -> list[Finding]:
        """The findings that are not suppressed."""
        return [finding for finding in self.findings if finding.suppressed is None]

    def exit_code(self, fail_on: Severity) -> int:
        """2 when the job was not wholly done, 1 when an active finding is at least ``fail_on``, else 0."""
        if self.errors or any(gap.internal for gap in self.gaps):
            return 2
        return int(any(finding.severity >= fail_on for finding in self.active()))
