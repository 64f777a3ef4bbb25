"""The command ``facturaonline probe``: compares a sandbox with the emulator."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from attrs import evolve

from facturaonline_async._base_url import environment_of, is_for_tests, normalize
from facturaonline_async._cli import client_command, interruption
from facturaonline_async._cli.client_command import AsJson
from facturaonline_async._cli.command_groups import single_command
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.language import dialogue_language
from facturaonline_async._cli.output_path_checks import check_file, unwritable
from facturaonline_async._cli.settings import Account, current_settings
from facturaonline_async._messages import Message, message
from facturaonline_async._private_files import publish_private
from facturaonline_async._text import printable, printable_path
from facturaonline_async.errors import FacturaOnlineError, InvalidInputError

if TYPE_CHECKING:
    from facturaonline_async._cli.probe_report import Observations
    from facturaonline_async._cli.probe_run import Limits, Probe

__all__ = ["app", "command"]

_SHOWN: Final = 40
"""Differences that are printed; the report has all."""


def command(
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON file for the report.", show_default=True)] = Path(
        "probe.json"
    ),
    against: Annotated[
        Path | None,
        typer.Option(metavar="REPORT", help="Compare with this report, instead of the emulator.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file of the report if it exists.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Begin without a question, for scripts.")] = False,
    list_wait: Annotated[
        float, typer.Option(min=0, max=3600, metavar="SECONDS", help="Maximum wait for the list to show a serie.")
    ] = 60.0,
    idle_wait: Annotated[
        float, typer.Option(min=0, max=3600, metavar="SECONDS", help="Maximum wait for the end of an idle connection.")
    ] = 6.0,
    as_json: AsJson = False,
) -> None:
    """Compare a sandbox with the emulator, by means of one serie.

    It creates, pauses, activates and deletes one serie of a letra that no serie has, makes some calls that are to be
    refused, and compares the shape of each answer, the lag of the list and the handling of connections with those of
    the emulator. What it created is deleted in the end, also after Ctrl-C. It refuses production before anything is
    sent.

    The report has names of fields, JSON types, statuses and durations, and no key, uid, RFC, name or other value: you
    can share it. An emulator plays it: Emulator(behaviour="probe.json"), or facturaonline emulator --behaviour.

    The address and the keys are those of the environment, or of the profile.

    Without a terminal for the question, --yes is required (else the exit code is 2). The exit code is 1 if the probe
    could not be completed, or something that it created is left.

    Examples:
      facturaonline probe
      facturaonline probe --yes --out probe.json
      facturaonline emulator --behaviour probe.json -- facturaonline probe --yes --out again.json --against probe.json
    """
    account = _account()
    base_url = account.base_url
    check_file(out, option="--out", replaces=force)
    from facturaonline_async._cli.preview_output import environment_name, print_host  # noqa: PLC0415  # as below

    if not as_json:
        print_host(new_console(stderr=True, soft_wrap=True), base_url)
    from facturaonline_async._cli.probe_report import read_report  # noqa: PLC0415  # help needs no report

    expected = None if against is None else read_report(against)
    client_command.confirm(yes)
    with dialogue_language():
        question = message("probe.question", environment=environment_name(base_url), host=base_url)
        client_command.confirm(yes, question, declined=message("cli.nothing_created"))

    from facturaonline_async._cli.probe_run import Limits, Probe  # noqa: PLC0415  # imports aiohttp

    limits = Limits(listed=list_wait, idle=idle_wait)
    probe = Probe(base_url, account.credentials, limits, (lambda _: None) if as_json else _print_step)
    expected, problem = interruption.run(_run(probe, expected, limits), interrupted=lambda: _interrupted(probe))
    report = _report(probe, expected, problem, against=against)
    if as_json:
        from facturaonline_async._cli import output  # noqa: PLC0415  # help needs no values of the API

        output.print_json(report)
    else:
        _print(report, against)
    if problem is not None:
        sys.stderr.write(f"{printable(str(problem))}\n")
    try:
        publish_private(out, f"{json.dumps(report, indent=2)}\n".encode("ascii"), replaces=force)
    except OSError as error:  # not a fault of the input: the calls were made
        sys.stderr.write(f"{printable(str(unwritable(out, error, option='--out')))}\n")
        raise typer.Exit(1) from None
    if not as_json:
        sys.stdout.write(f"{printable(message('probe.written', path=printable_path(out)))}\n")
    raise typer.Exit(0 if report["is_complete"] else 1)


app: typer.Typer = single_command("probe", command)


def _account() -> Account:
    """Return a sandbox or an emulator, and the keys.

    Raises:
        InvalidInputError: the address is missing or malformed, or of another kind of host; or a key is missing.

    """
    settings = current_settings()
    base_url = normalize(settings.find_base_url(None))
    if base_url is not None and not is_for_tests(base_url):
        from facturaonline_async._cli.preview_output import environment_name  # noqa: PLC0415  # help needs no names

        reason = message("probe.not_for_tests", environment=environment_name(base_url), host=base_url)
        raise InvalidInputError(reason, field="base_url")
    return evolve(settings.find_account(None), base_url=base_url or "")


async def _run(
    probe: Probe, expected: Observations | None, limits: Limits
) -> tuple[Observations, FacturaOnlineError | None]:
    """Probe the server, and an emulator beside it.

    What is left at the provider is printed before anything else can fail. Return what is expected, and why the probe
    ended early.
    """
    emulated = None if expected is not None else asyncio.create_task(_observe_emulator(limits))
    problem = None
    try:
        try:
            await probe.run()
        except FacturaOnlineError as error:
            problem = error
        finally:
            for text in _left(probe):
                _print_step(text)
        if emulated is not None:
            expected = await emulated
    finally:
        if emulated is not None:
            emulated.cancel()
    assert expected is not None  # noqa: S101  # one of both
    return expected, problem


async def _observe_emulator(limits: Limits) -> Observations:
    """Return what the same probe observes of an emulator."""
    from facturaonline_async._cli.probe_run import Probe  # noqa: PLC0415  # imports aiohttp
    from facturaonline_async.testing import Emulator  # noqa: PLC0415  # imports the server of aiohttp

    async with Emulator() as emulator:
        probe = Probe(emulator.base_url, emulator.credentials, limits)
        await probe.run()
        return probe.observed


def _report(
    probe: Probe, expected: Observations, problem: FacturaOnlineError | None, *, against: Path | None
) -> dict[str, Any]:
    """Return the JSON values of the report."""
    from facturaonline_async._cli.probe_report import differences, report_of  # noqa: PLC0415  # help needs none
    from facturaonline_async._cli.versions import read_versions  # noqa: PLC0415

    is_complete = problem is None and not probe.left and "series.delete:unknown_uid" in probe.observed.answers
    return report_of(
        probe.observed,
        made_on=datetime.now(UTC).date().isoformat(),
        environment=environment_of(probe.base_url),
        versions=read_versions(),
        is_complete=is_complete,
        ended_by=None if problem is None else type(problem).__name__,
        left=len(probe.left),
        compared_with="emulator" if against is None else "report",
        differences=list(differences(expected, probe.observed)),
    )


def _print_step(text: Message) -> None:
    sys.stderr.write(f"{printable(text)}\n")


def _print(report: dict[str, Any], against: Path | None) -> None:
    """Print the result for a person."""
    observed = report["observed"]
    lines = [message("probe.answers", count=len(observed["answers"])), _lag(observed), _connections(observed)]
    found = report["differences"]
    with_what = message("probe.emulator") if against is None else message("probe.report", path=printable_path(against))
    if found:
        lines.append(message("probe.differences", count=len(found), other=with_what))
    else:
        lines.append(message("probe.no_difference", other=with_what))
    lines += [
        message(
            "probe.difference",
            of=each["of"],
            what=each["what"],
            expected=each["expected"],
            found=each["found"],
        )
        for each in found[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        lines.append(message("probe.differences_left_out", count=len(found) - _SHOWN))
    if not report["is_complete"]:
        lines.append(message("probe.incomplete"))
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)


def _lag(observed: dict[str, Any]) -> Message:
    if observed["list_lag"] is not None:
        return message("probe.listed", seconds=observed["list_lag"])
    if observed["list_watched"]:
        return message("probe.not_listed", seconds=observed["list_watched"])
    return message("probe.no_list")


def _connections(observed: dict[str, Any]) -> Message:
    if not observed["is_reused"]:
        return message("probe.not_reused")
    if observed["idle"] is not None:
        return message("probe.idle", seconds=observed["idle"])
    return message("probe.kept", seconds=observed["idle_watched"])


def _left(probe: Probe) -> list[Message]:
    """Return what to delete by hand."""
    return [
        message("probe.perhaps_left", letra=each.letra)
        if not each.uid
        else message("probe.left", letra=each.letra, uid=each.uid)
        if each.is_certain
        else message("probe.perhaps_left_with_uid", letra=each.letra, uid=each.uid)
        for each in probe.left
    ]


def _interrupted(probe: Probe) -> Message:
    """Return what to say after Ctrl-C; what is left was printed before."""
    text = message("cli.interrupted")
    return text if probe.left else text.then(message("probe.nothing_left"))
