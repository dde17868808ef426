"""What the reports show: places, frames, counts; and what they never show."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from infra_audit.errors import ReadError
from infra_audit.finding import DeploymentInfo, Finding, Gap, Related, Report, Severity, SubjectRef, Suppression
from infra_audit.reports import REPORTERS, Look, reporter
from infra_audit.reports.frame import code_frame
from infra_audit.reports.json import SCHEMA, document
from infra_audit.reports.terminal import Style, cell_width, printable
from infra_audit.source import Source, Span

PLAIN = Style(False)


def at(text: str, line: int, start: int, end: int, path: str = "compose.yaml") -> Span:
    return Span(Source(path, text), line, start, line, end)


def finding(place: Span, **changes: object) -> Finding:
    values: dict[str, object] = {
        "policy": "memory-limit",
        "severity": Severity.warning,
        "deployment": "shop",
        "subject": SubjectRef("service", "web"),
        "message": "web: no memory limit",
        "place": place,
    }
    return Finding(**(values | changes))  # type: ignore[arg-type]


def report(*findings: Finding, **parts: object) -> Report:
    return Report(
        deployments=[DeploymentInfo("shop", "files", ("compose.yaml", "compose.prod.yaml"), ("merged 2 files",))],
        findings=list(findings),
        **parts,  # type: ignore[arg-type]
    )


def frame(text: str, line: int, start: int, end: int, width: int = 100) -> list[str]:
    return code_frame(at(text, line, start, end), width, PLAIN, "error")


def test_the_frame_underlines_exactly_the_span() -> None:
    assert frame("a: 1\nkey: value\n", 2, 6, 11) == [
        "   2 | key: value",
        "     |      ^^^^^",
    ]


def test_tabs_and_wide_characters_keep_the_carets_in_place() -> None:
    assert frame("\t日本: x", 1, 6, 7) == ["   1 |     日本: x", "     |           ^"]
    assert frame("e\u0301: x", 1, 5, 6) == ["   1 | e\u0301: x", "     |    ^"]


def test_a_carriage_return_is_no_part_of_the_line() -> None:
    assert frame("key: value\r\nother: 1\r\n", 1, 6, 11)[0] == "   1 | key: value"


def test_a_very_long_line_is_cut_around_the_span() -> None:
    text = "a" * 5000 + " HERE " + "b" * 5000
    shown, marks = frame(text, 1, 5002, 5006, 80)
    assert len(shown) <= 80
    assert shown[marks.index("^") : marks.rindex("^") + 1] == "HERE"
    assert shown.count("…") == 2


def test_a_span_over_several_lines_says_where_it_ends() -> None:
    source = Source("compose.yaml", "a:\n  b: 1\n  c: 2\n")
    assert code_frame(Span(source, 1, 1, 4, 1), 80, PLAIN, "error") == ["   1 | a:", "     | ^^ to line 3"]


def test_an_empty_span_has_one_caret_and_an_empty_file_no_frame() -> None:
    assert frame("abc", 1, 4, 4)[1] == "     |    ^"
    assert frame("", 1, 1, 1) == []


def test_what_a_terminal_would_act_on_is_shown_as_an_escape() -> None:
    assert frame("x: \x1b[31mred", 1, 9, 12) == ["   1 | x: \\x1b[31mred", "     |            ^^^"]
    assert printable("a\x1b]0;t\x07\u202eb\n") == "a\\x1b]0;t\\x07\\u202eb\\n"


def test_a_frame_masks_credentials_and_underlines_the_mask() -> None:
    assert frame("  PASSWORD: hunter2", 1, 13, 20) == ["   1 |   PASSWORD: ***", "     |             ^^^"]
    assert frame("- --requirepass\n- hunter2", 2, 3, 10) == ["   2 | - ***", "     |   ^^^"]


@given(st.text(max_size=300), st.integers(1, 320), st.integers(0, 300), st.integers(40, 120))
def test_any_line_makes_a_frame_that_fits(text: str, start: int, length: int, width: int) -> None:
    source = Source("f", text.replace("\n", " "))
    for line in code_frame(Span(source, 1, start, 1, start + length), width, PLAIN, "error"):
        assert line.isprintable()
        assert sum(cell_width(char) for char in unicodedata.normalize("NFC", line)) <= width + 12


def test_the_text_report_groups_by_deployment_and_subject() -> None:
    text = "services:\n  web:\n    image: nginx\n"
    place = at(text, 2, 3, 6)
    gap = Gap("cpu-limit", "shop", SubjectRef("service", "web"), "WEB_CPUS is not set")
    shown = reporter("text")(
        report(
            finding(place, fix="Set mem_limit.", related=(Related(at(text, 3, 12, 17), "the image"),)),
            finding(place, severity=Severity.info, folded=True, policy="documented-cpus"),
            finding(place, suppressed=Suppression("compose.yaml:2", "known")),
            gaps=[gap],
        ),
        Look(),
    )
    assert shown == (
        "shop (compose.yaml + compose.prod.yaml)\n"
        "  merged 2 files\n"
        "\n"
        "service web\n"
        "compose.yaml:2:3: warning: web: no memory limit [memory-limit]\n"
        "   2 |   web:\n"
        "     |   ^^^\n"
        "       compose.yaml:3:12: the image\n"
        "       fix: Set mem_limit.\n"
        "\n"
        "1 value differs from the reference plan (documented-cpus 1); --plan reference shows and judges them,\n"
        "  --plan none leaves them out\n"
        "\n"
        "not decided (1 gap)\n"
        "  cpu-limit for web: WEB_CPUS is not set\n"
        "\n"
        "1 warning, 1 info in 1 deployment (2 files); 1 suppressed; 1 gap\n"
    )


def test_a_clean_report_says_so() -> None:
    assert reporter("text")(report(), Look()).endswith("no findings in 1 deployment (2 files)\n")


def test_colours_only_where_asked() -> None:
    bad = report(finding(at("a: 1", 1, 4, 5)))
    assert "\x1b[" not in reporter("text")(bad, Look(color=False))
    assert "\x1b[1;33mwarning\x1b[0m" in reporter("text")(bad, Look(color=True))


@pytest.mark.parametrize("name", list(REPORTERS))
def test_no_report_prints_a_credential(name: str) -> None:
    text = "      DB_PASSWORD: hunter2\n"
    bad = finding(
        at(text, 1, 20, 27),
        message="web: DB_PASSWORD=hunter2 is in the file, postgres://me:hunter2@db",
        value={"DB_PASSWORD": "hunter2"},
        expected=["--requirepass", "hunter2"],
        fix="not redis://:hunter2@cache",
        related=(Related(at(text, 1, 1, 2), "DB_PASSWORD=hunter2"),),
    )
    gap = Gap("x", "shop", SubjectRef("service", "web"), "redis://:hunter2@cache is not set")
    shown = reporter(name)(
        report(bad, gaps=[gap], errors=[ReadError("TOKEN=hunter2", file="f", line=1, column=1)]), Look()
    )
    assert "hunter2" not in shown
    assert "***" in shown.replace("\\", "")


def test_the_json_report_is_version_1_and_valid() -> None:
    text = "services:\n  web: {}\n"
    bad = finding(at(text, 2, 3, 6), value=1, expected=2, related=(Related(at(text, 1, 1, 9), "note"),))
    data = json.loads(reporter("json")(report(bad, errors=[ReadError("no", file="x.yaml", line=3, column=4)]), Look()))
    Draft202012Validator(SCHEMA).validate(data)
    assert data["findings"][0] == {
        "policy": "memory-limit",
        "severity": "warning",
        "deployment": "shop",
        "subject": {"kind": "service", "name": "web"},
        "message": "web: no memory limit",
        "value": 1,
        "expected": 2,
        "file": "compose.yaml",
        "line": 2,
        "column": 3,
        "end_line": 2,
        "end_column": 6,
        "related": [{"file": "compose.yaml", "line": 1, "column": 1, "note": "note"}],
        "fingerprint": bad.fingerprint,
        "fixable": False,
        "suppressed": None,
    }
    assert data["errors"] == [{"file": "x.yaml", "line": 3, "column": 4, "message": "no"}]
    assert data["summary"] == {"error": 0, "warning": 1, "info": 0, "suppressed": 0, "gaps": 0}


def test_a_suppressed_finding_stays_in_json_and_does_not_count() -> None:
    bad = finding(at("a", 1, 1, 2), suppressed=Suppression("compose.yaml:1", "known"))
    data = document(report(bad))
    assert data["findings"][0]["suppressed"] == {"by": "compose.yaml:1", "reason": "known"}
    assert data["summary"] == {"error": 0, "warning": 0, "info": 0, "suppressed": 1, "gaps": 0}


def test_the_order_of_findings_does_not_depend_on_how_they_were_met() -> None:
    text = "a\nb\nc\n"
    bad = [finding(at(text, line, 1, 2), policy=policy) for line in (3, 1, 2) for policy in ("z", "a")]
    assert document(report(*bad)) == document(report(*reversed(bad)))
