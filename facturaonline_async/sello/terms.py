"""What a Sello is held against."""

from __future__ import annotations

from datetime import datetime, timezone

from attrs import frozen

from facturaonline_async._validators import type_name as kind_of
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sello.report import Kind
from facturaonline_async.sello.values import Sello

__all__ = ["Terms"]


@frozen
class Terms:
    """The arguments of `facturaonline_async.sello.check` besides the Sello: found good, and plain.

    Plain: a subclass, or a time zone of the user's own, could not be read in another process.
    """

    rfc: str | None
    kind: Kind | None
    now: datetime | None
    production: bool

    @classmethod
    def of(cls, sello: object, *, rfc: object, kind: object, now: object, production: object) -> Terms:
        """Take what `check` was given.

        Raises:
            InvalidInputError: an argument is not what it should be; `field` names it.

        """
        if not isinstance(sello, Sello):
            raise InvalidInputError(f"sello must be a Sello, and was {kind_of(sello)}.", field="sello")
        if rfc is not None and not isinstance(rfc, str):
            raise InvalidInputError(f"rfc must be a text or None, and was {kind_of(rfc)}.", field="rfc")
        wanted = rfc if rfc is None else "".join(rfc)
        return cls(wanted, _kind(kind), _now(now), bool(production))


def _kind(kind: object) -> Kind | None:
    if kind is None:
        return None
    if isinstance(kind, str):
        if kind == "csd":
            return "csd"
        if kind == "fiel":
            return "fiel"
    raise InvalidInputError(f'kind must be "csd", "fiel" or None, and was {kind!r:.40}.', field="kind")


def _now(now: object) -> datetime | None:
    if now is None:
        return None
    if not isinstance(now, datetime):
        raise InvalidInputError(f"now must be a datetime or None, and was {kind_of(now)}.", field="now")
    if (offset := now.utcoffset()) is None:
        raise InvalidInputError("now must be an aware datetime: give it a time zone.", field="now")
    return datetime.combine(now.date(), now.time(), timezone(offset))
