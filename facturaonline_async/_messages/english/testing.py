"""Texts about the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # Test certificates.
    "testing.not_a_kind": '{name} must be "csd" or "fiel", and was {value}.',
    "testing.unknown_issuer": '{name} must be "uat" or "ac6", and was {value}.',
    "testing.not_a_certificate_number": "{name} must be 20 ASCII digits, and was {value}.",
    # Numbers.
    "testing.too_small": "{name} must be a number from {minimum} up, and was {value}.",
    "testing.too_small_or_none": "{name} must be None or a number from {minimum} up, and was {value}.",
    "testing.not_seconds": "{name} must be a number of seconds from 0 up, and was {value}.",
    "testing.not_a_probability": "{name} must be a number from 0 to 1, and was {value}.",
    "testing.not_a_status": "{name} must be an HTTP status from 200 to 599, and was {value}.",
    # Settings and state of the emulator.
    "testing.unknown_refusals": "{name} takes the kinds {known}, and not {unknown}.",
    "testing.not_a_state_file": "{path} exists, and is not the state file of an emulator: give another file.",
    "testing.not_a_probe_report": "{path} is not a report of facturaonline probe: give another file.",
    "testing.unknown_row_keys": "A company's row has no key {keys}. See Emulator.state.",
    "testing.no_main_empresa": "There is no main company any more.",
    "testing.no_empresa": "There is no company with uid {uid}.",
    "testing.no_endpoint": "There is no endpoint {endpoint}. There are: {known}.",
    # Start and stop of the emulator.
    "testing.not_started": "The emulator has not been started: use `async with`, or await start().",
    "testing.started_already": "The emulator has been started already.",
    "testing.loop_not_running": "the emulator on port {port} cannot answer: it was started in an event loop that does "
    "not run now. Start it in the loop of the test, or in a thread, with emulator_in_thread() of "
    "facturaonline_async.testing or with pytest's fixture facturaonline_emulator.",
    "testing.loop_blocked": "the emulator on port {port} cannot answer: its event loop is blocked, perhaps by a "
    "synchronous test client in an asynchronous test. Run it in a thread, with emulator_in_thread() of "
    "facturaonline_async.testing or with pytest's fixture facturaonline_emulator.",
    "testing.forked": "this emulator runs in the process that this one was forked from: call it over HTTP at its "
    "base_url, with credentials taken before the fork, or start another Emulator here",
}
