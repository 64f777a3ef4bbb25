"""The `facturaonline` command (extra ``cli``)."""

from __future__ import annotations

import sys

from facturaonline_async._messages import message

__all__ = ["main"]


def main() -> None:
    """Run the command and exit with its code."""
    extra_missing = message("cli.extra_missing")  # imports the texts of the command before anything can go wrong
    try:
        from facturaonline_async._cli.app import run  # noqa: PLC0415  # the extra may be missing

        run()
    except ModuleNotFoundError as problem:
        if problem.name == "psycopg":
            sys.exit(message("cli.postgres_extra_missing"))
        if problem.name not in {"dotenv", "jinja2", "rich", "typer"}:
            raise
        sys.exit(extra_missing)
