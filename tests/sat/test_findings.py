"""The page of findings matches the table in the code."""

from __future__ import annotations

import re
from pathlib import Path

from facturaonline_async.sat._findings import FINDINGS, Finding

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"


def test_the_page_has_every_finding_with_its_severity_and_remedy() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(code, severity, remedy) for code, severity, _, remedy in rows] == [
        (code, severity.value, remedy) for code, (severity, remedy) in FINDINGS.items()
    ]


def test_a_finding_is_one_line_of_text() -> None:
    finding = Finding("expired", "csd.cer", "The certificate expired.")
    assert str(finding) == f"csd.cer: The certificate expired. {FINDINGS['expired'][1]} [expired]"
