"""Confirmation of a run: what a person sees and agrees to before anything is sent."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from attrs import define, field

from facturaonline_async._base_url import is_for_tests
from facturaonline_async._cli import progress
from facturaonline_async._cli.client_command import confirm_in_loop
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.language import dialogue_language
from facturaonline_async._cli.preview_output import environment_name, print_host, print_preview
from facturaonline_async._cli.run_target import RunTarget
from facturaonline_async._cli.run_texts import format_rfcs
from facturaonline_async._cli.terminals import is_terminal
from facturaonline_async._messages import Message, message
from facturaonline_async._text import printable
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision import Existing, Plan, RunReport, State

if TYPE_CHECKING:
    from facturaonline_async.client import FacturaOnline
    from facturaonline_async.postgres import Postgres
    from facturaonline_async.provision import Preview

__all__ = ["Confirmation", "StalePreviewError", "refuse_stale", "warn_of_series"]

_ROWS: Final = 5
"""Rows that are shown of each action."""


@define
class Confirmation:
    """Confirmation of a run by a person, who sees a preview first.

    It is not needed with --yes, with an emulator, or if the journal shows that all of the plan was sent already: then
    the run sends nothing new. A script without --yes may begin a run in the sandbox and on a loopback address only.

    Attributes:
        target: where the run takes place.
        plan: the plan.
        existing: what the run does with companies that exist.
        yes: value of --yes.

    """

    target: RunTarget
    plan: Plan
    existing: Existing
    yes: bool
    _has_terminal: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._has_terminal = is_terminal(sys.stdin, sys.stderr)

    def _needs_journal(self, host: str) -> bool:
        """Return whether the journal, and perhaps the account, must be read first."""
        if self.yes:
            return False
        if self.target.use_emulator:
            return self._has_terminal and not self.target.as_json
        return self._has_terminal or not is_for_tests(host)

    async def ask(self, pg: Postgres | None, client: FacturaOnline) -> Preview | None:
        """Show what the run would do, and ask for the confirmation.

        A cancelled caller ends at once; nothing was sent.

        Args:
            pg: the open database, or None.
            client: the client of the run, so that its rate limits hold for both.

        Returns:
            The preview that was confirmed, or in which nothing is left to do. None: no confirmation is needed.

        Raises:
            InvalidInputError: there is no terminal, and the host is a production host, or an unknown one.
            Exit: the answer is no.

        """
        from facturaonline_async.client import engine_of  # noqa: PLC0415  # imports aiohttp
        from facturaonline_async.provision._preview import Previewer  # noqa: PLC0415  # as above

        target, host = self.target, engine_of(client).config.base_url or ""
        console = new_console(stderr=True, soft_wrap=True)
        if not self._needs_journal(host):
            if self._has_terminal and not target.as_json:
                print_host(console, host, use_emulator=target.use_emulator)
            return None
        previewer = Previewer(client, self.plan, self.existing)
        async with target.open_view(pg, client) as view:
            if await previewer.compare_journal(view):
                return None
        if not self._has_terminal:
            raise InvalidInputError(
                message("cli.preview_without_terminal", environment=environment_name(host), host=host), field="yes"
            )
        with dialogue_language():
            concurrency = target.config.concurrency
            with progress.preview_bar() as on_progress:
                preview = await previewer.run(limit=_ROWS, concurrency=concurrency, on_progress=on_progress)
            print_preview(preview, console, use_emulator=target.use_emulator)
            if target.use_emulator:
                return None
            if not preview.is_settled:
                question = message("cli.preview_question", environment=environment_name(host), host=host)
                await confirm_in_loop(question, declined=message("cli.nothing_created"))
        return preview


@define
class StalePreviewError(Exception):
    """Companies have appeared or gone since the preview that was confirmed.

    Attributes:
        appeared: RFCs of the companies that have appeared.
        gone: RFCs of those that have gone. One that was replaced by another is in both.

    """

    appeared: list[str]
    gone: list[str]

    def print_warnings(self) -> None:
        """Print which companies have appeared and gone."""
        if self.appeared:
            _warn(message("cli.preview_appeared", count=len(self.appeared), rfcs=format_rfcs(self.appeared)))
        if self.gone:
            _warn(message("cli.preview_gone", count=len(self.gone), rfcs=format_rfcs(self.gone)))


def refuse_stale(preview: Preview, companies: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a run whose companies are not those of the preview.

    Args:
        preview: the preview that was confirmed.
        companies: uids of the plan's companies that exist now, by RFC.

    Raises:
        StalePreviewError: companies have appeared or gone.

    """
    from facturaonline_async.provision._preview import changed_since  # noqa: PLC0415  # imports aiohttp

    appeared, gone = changed_since(preview, companies)
    if appeared or gone:
        raise StalePreviewError(appeared, gone)


def warn_of_series(preview: Preview, report: RunReport) -> None:
    """Warn if a run created more series than the preview showed.

    A run reads the series of a company when its row begins, and not before all rows.

    Args:
        preview: the preview that was confirmed.
        report: totals of the run.

    """
    shown = sum(number for action, number in preview.series.items() if action.value not in {"adopt", "done"})
    created = report.series[State.CREATED] - report.earlier_series[State.CREATED]
    if created > shown:
        _warn(message("cli.preview_more_series", count=created - shown))


def _warn(text: Message) -> None:
    sys.stderr.write(f"{printable(message('cli.warning', text=text))}\n")
