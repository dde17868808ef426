"""The baseline: findings that were there when a team began, so that later runs report only new ones.

A JSON file, one finding a line, by the files of the deployment, so that a diff of it reads well. A
finding is known by its fingerprint: it stays known when lines move or a message is reworded, and a
second one of the same kind is new. What is in the baseline stays in the report as suppressed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from infra_audit.errors import ConfigError
from infra_audit.finding import Finding, Suppression
from infra_audit.named import NamedTuple
from infra_audit.source import display_path

__all__ = ["Baseline", "Known"]

_VERSION = 1


class Known(NamedTuple):
    """A finding of the baseline. ``deployment``: its files, relative to the baseline, with blanks between."""

    deployment: str
    policy: str
    subject: str
    fingerprint: str


class Baseline:
    """The known findings of a file, and which of them a run has met.

    A run takes each known finding once: ``met`` counts all that were active, known or not.
    """

    def __init__(self, file: str, known: Iterable[Known] = ()) -> None:
        self.file = os.path.abspath(file)
        self.known = Counter(known)
        self.met: Counter[Known] = Counter()
        self.judged: set[str] = set()

    @classmethod
    def read(cls, file: str) -> Baseline:
        """Reads a baseline; raises ConfigError where it cannot be read or is none."""
        shown = display_path(file)
        try:
            with open(file, encoding="utf-8") as stream:
                return cls(file, _entries(json.load(stream)))
        except OSError as error:
            raise ConfigError(f"the baseline cannot be read: {error.strerror}", file=shown) from None
        except json.JSONDecodeError as error:
            raise ConfigError(f"no JSON: {error.msg}", file=shown, line=error.lineno, column=error.colno) from None
        except (KeyError, TypeError, AttributeError, ValueError):
            raise ConfigError("is no baseline of version 1; `infra-audit baseline` writes one", file=shown) from None

    def apply(self, findings: Iterable[Finding], name: str, files: Sequence[str]) -> tuple[int, int]:
        """Marks the known findings of a deployment; returns how many there are and how many are fixed."""
        deployment = self._deployment(name, files)
        self.judged.add(deployment)
        hidden = 0
        for finding in findings:
            if finding.suppressed is not None:
                continue
            subject = finding.subject.kind if finding.subject.kind == "deployment" else " ".join(finding.subject)
            known = Known(deployment, finding.policy, subject, finding.fingerprint)
            self.met[known] += 1
            if self.met[known] <= self.known[known]:
                hidden += 1
                finding.suppressed = Suppression(display_path(self.file), "known when the baseline was written")
        fixed = (self.known - self.met).items()
        return hidden, sum(number for known, number in fixed if known.deployment == deployment)

    def kept(self) -> Counter[Known]:
        """What is still there of the known findings; those of deployments that were not judged stay."""
        elsewhere = Counter({one: number for one, number in self.known.items() if one.deployment not in self.judged})
        return (self.known & self.met) + elsewhere

    def text(self, known: Counter[Known]) -> str:
        """The file's content for some known findings."""
        parts = []
        for deployment in sorted({one.deployment for one in known}):
            entries = sorted(one for one in known.elements() if one.deployment == deployment)
            lines = ",\n".join(
                "      " + json.dumps({"policy": one.policy, "subject": one.subject, "fingerprint": one.fingerprint})
                for one in entries
            )
            parts.append(f"    {json.dumps(deployment)}: [\n{lines}\n    ]")
        body = "{\n" + ",\n".join(parts) + "\n  }" if parts else "{}"
        return f'{{\n  "version": {_VERSION},\n  "deployments": {body}\n}}\n'

    def _deployment(self, name: str, files: Sequence[str]) -> str:
        """What a deployment is called in the file, the same in every checkout."""
        folder = os.path.dirname(self.file)
        return " ".join(os.path.relpath(file, folder).replace(os.sep, "/") for file in files) or name


def _entries(data: Any) -> list[Known]:
    if data["version"] != _VERSION:
        raise ValueError
    return [
        Known(str(deployment), str(entry["policy"]), str(entry["subject"]), str(entry["fingerprint"]))
        for deployment, entries in data["deployments"].items()
        for entry in entries
    ]
