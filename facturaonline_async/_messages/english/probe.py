"""Texts about the command probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # Before anything is sent.
    "probe.not_for_tests": (
        "A probe creates and deletes a serie, and this is {environment} ({host}): set FACTURAONLINE_BASE_URL to the "
        "sandbox, or use an emulator. Nothing was sent."
    ),
    "probe.not_a_report": "--against: {path} is not a report of facturaonline probe: give another file.",
    "probe.wrong_field": (
        "--against: {path} is not a report of facturaonline probe: {field} has the unexpected value {value}: give "
        "another file."
    ),
    "probe.missing_field": (
        "--against: {path} is not a report of facturaonline probe: {field} is missing: give another file."
    ),
    "probe.question": "Create and delete a serie in {environment} ({host})?",
    # While it works.
    "probe.reading": "Reading the account …",
    "probe.creating": "Creating the serie {letra} …",
    "probe.changing": "Pausing and activating it …",
    "probe.refusing": "Making calls that are to be refused …",
    "probe.cleaning": "Deleting what was created …",
    # The result.
    "probe.answers": Plural("{count} answer was observed.", "{count} answers were observed."),
    "probe.listed": "The list shows a new serie after {seconds:g} s.",
    "probe.not_listed": "The list does not show a new serie within {seconds:g} s.",
    "probe.no_list": "The list was not observed: no serie was created.",
    "probe.not_reused": "The server opens a connection for each call.",
    "probe.idle": "The server keeps connections, and closes an idle one after {seconds:g} s.",
    "probe.kept": "The server keeps connections, and an idle one for more than {seconds:g} s.",
    "probe.emulator": "the emulator",
    "probe.report": "the report {path}",
    "probe.differences": Plural("{count} difference to {other}:", "{count} differences to {other}:"),
    "probe.no_difference": "No difference to {other}.",
    "probe.difference": "  {of}, {what}: expected {expected}, found {found}",
    "probe.differences_left_out": Plural("  … {count} more is in the report", "  … {count} more are in the report"),
    "probe.incomplete": "The probe is not complete.",
    "probe.written": "The report is in {path}. It has no key, uid, RFC or name: you can share it.",
    # What is left.
    "probe.left": "The serie {letra} (uid {uid}) of the probe still exists: facturaonline series delete {uid}",
    "probe.perhaps_left_with_uid": (
        "The serie {letra} (uid {uid}) of the probe may still exist: facturaonline series delete {uid}"
    ),
    "probe.perhaps_left": (
        "A serie {letra} of the probe may exist, and the list did not show it: look at facturaonline series list in "
        "some minutes, and delete it."
    ),
    "probe.nothing_left": "Nothing of the probe is left.",
}
