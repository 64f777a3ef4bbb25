"""The package's logger, and a filter that masks secrets in any log."""

from __future__ import annotations

import logging
import re
from typing import Final

from facturaonline_async._core.redaction import redact
from facturaonline_async.events import AttemptEvent, Event

__all__ = ["LOGGER", "RedactingFilter", "log"]

#: Attempts are logged at DEBUG, attempts that will be retried at INFO, holds at WARNING.
LOGGER: Final = logging.getLogger("facturaonline_async")
LOGGER.addHandler(logging.NullHandler())  # without it, Python prints warnings of programs that configure no logging

# Values behind the name of a secret in headers, reprs and queries; `redact` covers JSON and the keys themselves.
# Possessive and atomic groups make the pattern linear in its text.
_NAMED: Final = r"""(?ix)((?<![\w-])(?:
            (?>[\w-]*?(?:psswrd|contrase))[\w-]*+  # and the rest of the name, as in "contraseña"
          | [\w-]++(?:(?<=api_key)|(?<=api-key)|(?<=apikey)|(?<=secret)|(?<=secret_key)|(?<=secret-key)|(?<=secretkey)
                      |(?<=pass)|(?<=password)|(?<=pwd))
        )(?:\\?['"])?+\s*+[:=]\s*+)
        (?:b?"[^"]*+"|b?'[^']*+'|\\"[^"\\]*+(?:\\")?+|[^\s"',;&)}\]]++)"""


def log(event: Event) -> None:
    """Write an event to the package's log."""
    if not isinstance(event, AttemptEvent):
        LOGGER.warning("%s: the server asks for fewer calls; held for %.2f s", event.endpoint, event.seconds)
        return
    LOGGER.log(
        logging.DEBUG if event.pause is None else logging.INFO,
        "%s: attempt %d: %s (HTTP %s) after %.3f s, waited %.3f s%s",
        event.endpoint,
        event.attempt,
        event.outcome,
        event.status,
        event.took,
        event.waited,
        "" if event.pause is None else f", again in {event.pause:.3f} s",
    )


class RedactingFilter(logging.Filter):
    """Logging filter that masks this API's keys and passwords in any log.

    This library logs no secrets; the filter covers other libraries, which may log request headers. Add it to a
    **handler**::

        logging.getLogger().handlers[0].addFilter(RedactingFilter())
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record's text, traceback and stack, and return True.

        Args:
            record: the record, which is changed in place.

        """
        message = record.getMessage()
        if (masked := _mask(message)) != message:
            record.msg, record.args = masked, None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = _mask(record.exc_text)
        if record.stack_info:
            record.stack_info = _mask(record.stack_info)
        return True


def _mask(text: str) -> str:
    return redact(re.sub(_NAMED, r"\1***", text))
