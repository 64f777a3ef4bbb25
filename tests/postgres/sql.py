"""Statements of a person at a test's database."""

from __future__ import annotations

from typing import Any

from tests.postgres.servers import Server, database_of

__all__ = ["Sql"]


class Sql:
    """Statements at one database, past the code under test.

    Attributes:
        url: Its URL.

    """

    def __init__(self, server: Server, url: str) -> None:
        self._server, self._name = server, database_of(url)
        self.url = url

    def __call__(self, statement: str) -> list[tuple[Any, ...]]:
        return self._server.execute(statement, dbname=self._name)

    def silence(self) -> None:
        """Let the run's last sign of life be an hour ago."""
        self("UPDATE facturaonline.runs SET beat = beat - interval '1 hour'")

    def move_to(self, timeline: str) -> None:
        """Let the server have another timeline."""
        self(
            "CREATE OR REPLACE FUNCTION facturaonline.server_timeline() RETURNS text LANGUAGE sql "
            f"AS $$ SELECT '{timeline}' $$"
        )

    def states(self) -> dict[str, int]:
        return dict(self("SELECT state, count(*) FROM facturaonline.steps GROUP BY 1"))
