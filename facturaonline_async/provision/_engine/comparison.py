"""Comparison of a row with what exists: what a run does, and a preview shows.

Reads show fewer attributes of a company than writes take. An attribute that they do not show, such as a certificate or
a régimen (reads have its words, not its code), cannot be compared: it is sent, and is never called a change.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Final

from attrs import fields, frozen

from facturaonline_async._messages import Message, message
from facturaonline_async._text import compose
from facturaonline_async.empresas._models import CambiosEmpresa, Empresa, NuevaEmpresa
from facturaonline_async.empresas._wire import READABLE
from facturaonline_async.provision._plan.models import Existing, PlanRow, required_uid

__all__ = ["Action", "AttributeChange", "Comparison", "changes_of", "choose_action", "compare", "refusal"]


class Action(enum.StrEnum):
    """What a run does with a company or a serie, as far as reads can tell.

    Attributes:
        CREATE: it does not exist; the run creates it.
        UPDATE: the company exists; the run changes it to the plan's data.
        COMPLETE: the company exists and stays as it is; not all of its series exist. No serie has this action.
        ADOPT: it exists, and stays as it is.
        DONE: an earlier run with the same journal finished it.
        CONFLICT: it exists several times; or an earlier run sent its create, and the company that exists by now has
            another uid than the row says. A person must decide.
        REFUSE: the company exists, and the plan says that this is a fault (``existing="fail"``); or it does not exist,
            or has another uid, and its row is about a company that must exist; or it is not the one that an earlier
            run adopted.
        UNKNOWN: an earlier run sent its create, got no readable answer, and no list shows it yet. The run looks for it
            first, and may create it again. Its series have this action, too.
        UNREADABLE: the company exists, and it, its series or the data of its row could not be read.
        NOT_TRIED: a serie of a company in conflict, refused or unreadable.

    """

    CREATE = "create"
    UPDATE = "update"
    COMPLETE = "complete"
    ADOPT = "adopt"
    DONE = "done"
    CONFLICT = "conflict"
    REFUSE = "refuse"
    UNKNOWN = "unknown"
    UNREADABLE = "unreadable"
    NOT_TRIED = "not_tried"


@frozen
class AttributeChange:
    """Attribute of a company that the plan changes.

    Attributes:
        name: name of the attribute of `NuevaEmpresa`.
        old: the value that a read showed; ``""`` if it showed none.
        new: the plan's value.

    """

    name: str
    old: str
    new: str


@frozen
class Comparison:
    """Difference between a plan's data of a company and the company.

    Attributes:
        changes: attributes that differ.
        not_comparable: names of the attributes that the plan gives and that reads do not show.

    """

    changes: tuple[AttributeChange, ...]
    not_comparable: tuple[str, ...]

    @property
    def is_needed(self) -> bool:
        """Whether an update must be sent: something differs, or cannot be compared."""
        return bool(self.changes or self.not_comparable)


_BY_EXISTING: Final[dict[Existing, Action]] = {
    "adopt": Action.ADOPT,
    "update": Action.UPDATE,
    "fail": Action.REFUSE,
}
_NAMES: Final = tuple(each.name for each in fields(CambiosEmpresa))


def choose_action(row: PlanRow, uids: Sequence[str], existing: Existing, known: str | None = None) -> Action:
    """Return what a run does with a company.

    Args:
        row: the company's row.
        uids: uids of the companies with its RFC.
        existing: what to do with one that exists, unless the row says it.
        known: uid of the company that an earlier run adopted for the row, or None. The row continues with no other one.

    """
    uid = required_uid(row)
    if not uids:
        return Action.CREATE if uid is None and known is None else Action.REFUSE
    if len(uids) > 1:
        return Action.CONFLICT
    if any(each and each != uids[0] for each in (uid, known)):
        return Action.REFUSE
    existing = row.existing or existing
    return Action.ADOPT if uid is not None and existing == "fail" else _BY_EXISTING[existing]


def refusal(row: PlanRow, uids: Sequence[str], known: str | None = None) -> Message:
    """Return why a run refuses a row.

    Args:
        row: a row for which `choose_action` is `Action.REFUSE`.
        uids: uids of the companies with its RFC.
        known: see `choose_action`.

    """
    if known is not None and known not in uids:
        return message("run.adopted_company_gone", uid=known)
    if not uids:
        return message("run.company_missing")
    if uid := required_uid(row):
        return message("run.company_of_other_uid", uid=uid, other=uids[0])
    return message("run.company_exists", uid=uids[0])


def changes_of(data: NuevaEmpresa | CambiosEmpresa) -> CambiosEmpresa:
    """Return the plan's data of a company as changes.

    Attributes that are empty in the plan are not changed.

    Args:
        data: the plan's data.

    """
    given: dict[str, Any] = {name: getattr(data, name) for name in _NAMES}
    return CambiosEmpresa(**{name: value for name, value in given.items() if value not in {"", None}})


def compare(cambios: CambiosEmpresa, empresa: Empresa) -> Comparison:
    """Compare changes with the company as a read shows it.

    Blanks around a text do not count. Neither does the case of a razón social, which the API writes in capitals.

    Args:
        cambios: the plan's data.
        empresa: the company.

    """
    changes: list[AttributeChange] = []
    hidden: list[str] = []
    for name in _NAMES:
        if (value := getattr(cambios, name)) is None:
            continue
        if name not in READABLE:
            hidden.append(name)
        elif _normal(name, old := str(getattr(empresa, name))) != _normal(name, value):
            changes.append(AttributeChange(name, old, value))
    return Comparison(tuple(changes), tuple(hidden))


def _normal(name: str, text: str) -> str:
    text = compose(text).strip()
    return text.upper() if name == "razon_social" else text
