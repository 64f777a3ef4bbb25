"""What a preview shows, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.style import Style
from rich.text import Text

from facturaonline_async._base_url import environment_of
from facturaonline_async._core.redaction import redact
from facturaonline_async._messages import Message, message
from facturaonline_async._text import printable

if TYPE_CHECKING:
    from facturaonline_async.provision import Action, Preview, PreviewRow

__all__ = ["environment_name", "print_host", "print_preview", "redacted"]

_SIGNS: Final = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "complete": ("+", "green"),
    "unknown": ("?", "yellow"),
    "conflict": ("!", "red"),
    "refuse": ("!", "red"),
    "unreadable": ("!", "red"),
    "adopt": ("=", "dim"),
    "done": ("=", "dim"),
}
"""Sign and style of each action, in the order in which they are shown."""

_DANGER: Final = Style(bold=True, color="white", bgcolor="red")
_STYLES: Final[dict[str, Style]] = {"production": _DANGER, "unknown": _DANGER}
_COLUMNS: Final = {"csd": "cer/key/password", "fiel": "fielcer/fielkey/fielpassword"}
"""Columns of a plan, by the attributes that have other names."""


def print_preview(found: Preview, console: Console, *, use_emulator: bool = False) -> None:
    """Print where a run would take place, and what it would do.

    Args:
        found: the preview.
        console: where to print; it neither wraps nor marks up texts.
        use_emulator: whether the host is an emulator in this process.

    """
    print_host(console, found.base_url, use_emulator=use_emulator)
    console.print(_account(found))
    groups = _by_action(found.rows)
    for action, count in sorted(found.empresas.items(), key=lambda pair: [*_SIGNS, "not_tried"].index(pair[0].value)):
        if count:
            _print_group(console, action, count, groups.get(action, []), found)
    console.print()
    console.print(_summary(found))


def print_host(console: Console, host: str, *, use_emulator: bool = False) -> None:
    """Print where a run takes place: kind of host, such as SANDBOX, and base URL.

    Args:
        console: where to print.
        host: base URL.
        use_emulator: whether the host is an emulator in this process.

    """
    name = message("cli.environment_emulator") if use_emulator else environment_name(host)
    style = _STYLES.get(environment_of(host), Style(bold=True))
    console.print(Text.assemble((f" {name} ", style), f" {printable(host)}"))


def environment_name(host: str) -> Message:
    """Return the name of a kind of host, such as SANDBOX.

    Args:
        host: base URL.

    """
    return message(f"cli.environment_{environment_of(host)}")


def _account(found: Preview) -> Message:
    if not found.account_rfc:
        return message("cli.preview_no_account")
    name = printable(redact(found.account_name))
    return message("cli.preview_account", rfc=printable(found.account_rfc), razon_social=name)


def _by_action(rows: Iterable[PreviewRow]) -> dict[Action, list[PreviewRow]]:
    groups: dict[Action, list[PreviewRow]] = {}
    for row in rows:
        groups.setdefault(row.action, []).append(row)
    return groups


def _print_group(console: Console, action: Action, count: int, rows: list[PreviewRow], found: Preview) -> None:
    """Print how many companies have an action, and the first of them."""
    sign, style = _SIGNS[action.value]
    heading = message(f"cli.action_{action.value}", what=message("cli.count_empresas", count=count))
    console.print()
    console.print(Text.assemble((sign, style), f" {heading}"))
    for row in rows:
        for line in _lines(row):
            console.print(f"    {printable(line)}")
    if more := found.left_out.get(action, 0):
        console.print(f"    {message('cli.preview_rows_left_out', count=more)}")


def _lines(row: PreviewRow) -> Iterator[str]:
    """Yield what is shown of a row: the first line names it."""
    new = [f"{serie.letra}:{serie.tipo_documento}" for serie in row.series if serie.action.value == "create"]
    place = message("cli.example_empresa", row=row.number, rfc=row.rfc)
    if row.reason:
        yield message("cli.preview_row", row=row.number, rfc=row.rfc, text=redact(row.reason))
    elif new:
        yield message("cli.preview_row_with_series", row=row.number, rfc=row.rfc, series=", ".join(new))
    else:
        yield place
    for change in row.changes:
        old = f"'{redact(change.old)}'" if change.old else message("cli.preview_empty")
        yield f"    {change.name}: {old} → '{redact(change.new)}'"
    if row.not_comparable:
        names = ", ".join(_COLUMNS.get(name, name) for name in row.not_comparable)
        yield f"    {message('cli.preview_not_comparable', names=names)}"
    for serie in row.series:
        if serie.reason:
            key = f"{serie.letra}:{serie.tipo_documento}"
            yield f"    {message('cli.failed_serie', serie=key, reason=redact(serie.reason))}"


def _summary(found: Preview) -> Message:
    if found.is_settled:
        return message("cli.preview_settled")
    of_empresas, of_series = (
        {action.value: count for action, count in each.items()} for each in (found.empresas, found.series)
    )
    empresas = message("cli.count_empresas", count=of_empresas["create"])
    series = message("cli.count_series", count=of_series["create"])
    if of_empresas["update"]:
        updated = message("cli.count_empresas", count=of_empresas["update"])
        text = message("cli.preview_summary_with_changes", empresas=empresas, series=series, updated=updated)
    else:
        text = message("cli.preview_summary", empresas=empresas, series=series)
    if not (of_empresas["unknown"] or of_series["unknown"]):
        return text
    empresas = message("cli.count_empresas", count=of_empresas["unknown"])
    series = message("cli.count_series", count=of_series["unknown"])
    return text.then(message("cli.preview_may_create", empresas=empresas, series=series))


def redacted(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row's JSON values without texts that look secret.

    Args:
        row: JSON values of a `PreviewRow`.

    """
    changes = [
        {"name": each["name"], "old": redact(each["old"]), "new": redact(each["new"])} for each in row["changes"]
    ]
    return row | {"changes": changes, "reason": redact(row["reason"])}
