"""The oracle of a provisioning: what the API has, against what the plan asks for and what the journal says."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = ["Verdict", "judge", "phases"]

Tables = Mapping[str, Mapping[Any, Mapping[str, Any]]]


@frozen
class Verdict:
    """What is wrong; all is well where everything is 0.

    Attributes:
        duplicates: companies and series that are there more often than once, counted without the first.
        lost: companies and series of the plan that are not there.
        wrong_owner: series under a company that should not have them.
        left_in_intent: steps of the journal of which nobody knows.

    """

    duplicates: int
    lost: int
    wrong_owner: int
    left_in_intent: int = 0

    @property
    def is_good(self) -> bool:
        """Whether everything is there, once and in its place."""
        return self == Verdict(0, 0, 0)


def judge(tables: Tables, plan: Mapping[str, Sequence[str]], journal: Path | None = None) -> Verdict:
    """Compare the API's tables with a plan: letras by RFC. No two companies of it have a letra in common."""
    rows = {uid: row for uid, row in tables["empresas"].items() if not row.get("main")}
    owners = {letra: rfc for rfc, letras in plan.items() for letra in letras}
    empresas = Counter(row["rfc"] for row in rows.values())
    series = Counter(row["letra"] for row in tables["series"].values())
    wrong_owner = sum(
        row["empresa"] not in rows or owners.get(row["letra"]) != rows[row["empresa"]]["rfc"]
        for row in tables["series"].values()
    )
    there = empresas + series
    return Verdict(
        duplicates=sum(number - 1 for number in there.values()),
        lost=sum(name not in there for name in (*plan, *owners)),
        wrong_owner=wrong_owner,
        left_in_intent=phases(journal)["intent"] if journal is not None else 0,
    )


def phases(journal: Path) -> Counter[str]:
    """Count a journal's steps by their phase, past the code under test."""
    with closing(sqlite3.connect(journal)) as connection:
        return Counter(dict(connection.execute("SELECT state, count(*) FROM steps GROUP BY state")))
