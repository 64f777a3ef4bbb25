"""The page of findings matches the table in the code."""

from __future__ import annotations

import re
from pathlib import Path

from facturaonline_async._messages import spanish
from facturaonline_async._messages.english import TEXTS
from facturaonline_async.sat._findings import FINDINGS, Finding, format_findings

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"


def test_the_page_has_every_finding_with_its_severity_and_remedy() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(code, severity, remedy) for code, severity, _, remedy in rows] == [
        (code, severity.value, Finding(code, "", "").remedy) for code, severity in FINDINGS.items()
    ]


def test_the_page_in_spanish_has_every_finding_with_its_severity_and_remedy() -> None:
    words = {"error": "error", "warning": "advertencia"}
    texts = spanish.read_texts()
    page = PAGE.with_suffix(".es.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .+? \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(code, words[severity.value], texts[f"remedy.{code}"]) for code, severity in FINDINGS.items()]


def test_every_finding_has_a_remedy_and_every_remedy_a_finding() -> None:
    remedies = [code.removeprefix("remedy.") for code in TEXTS if code.startswith("remedy.")]
    assert remedies == list(FINDINGS)


def test_a_finding_is_one_line_of_text() -> None:
    finding = Finding("expired", "csd.cer", "The certificate expired.")
    assert str(finding) == f"csd.cer: The certificate expired. {finding.remedy} [expired]"


def test_several_findings_are_one_message_that_keeps_each() -> None:
    findings = [Finding("expired", "csd.cer", "It expired."), Finding("rfc_format", "rfc", "'X' is not an RFC.")]
    joined = format_findings(findings)

    assert joined == f"{findings[0]} {findings[1]}"
    assert [each.parameters["code"] for each in (joined, *joined.following)] == ["expired", "rfc_format"]
