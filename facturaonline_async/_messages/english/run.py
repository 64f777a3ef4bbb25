"""Texts about runs of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # Arguments of a run.
    "run.invalid_existing": "existing must be 'adopt', 'update' or 'fail', and was {value}.",
    # Not tried. The code shows that the next run tries it.
    "run.not_tried_company_first": "not tried: its company comes first",
    "run.not_tried_not_started": "not tried: its row was not started yet",
    "run.not_tried_stopped": "not tried: the run was stopped",
    "run.not_tried_again_stopped": "not tried again: the run was stopped",
    "run.not_tried_keys_refused": "not tried: the API refused the main keys",
    # It may exist: there was no readable answer.
    "run.interrupted": "interrupted",
    "run.ended_before_answer": "the run ended before there was an answer",
    "run.not_searched": "whether it is there could not be seen: {error}",
    "run.companies_not_listed": "the companies could not be listed: {error}",
    "run.unexpected_error": "unexpected {type}",
    # It was sent, and does not exist or is not readable.
    "run.sent_and_not_listed": "it was sent {count} times, and lists do not show it: {reason}",
    "run.sent_and_keys_refused": (
        "it was sent, lists do not show it, and it is not sent again: the API refused the main keys"
    ),
    "run.company_not_readable_yet": "the company exists (uid {uid}), but was not readable before the deadline",
    "run.serie_not_listed_yet": "it was created, but was not listed before the deadline",
    # It exists, and should not.
    "run.company_exists": "the company exists (uid {uid}), and the plan forbids that",
    "run.several": "it exists {count} times: {uids}",
    "run.several_companies": "the account has {count} companies with this RFC: {uids}",
    "run.several_series": "the company has {count} series of this kind: {uids}",
    # It does not exist, and should.
    "run.company_missing": (
        "the account has no company with this RFC, and the row gives no data to create one: correct the RFC, or give "
        "the company's data and certificate"
    ),
    "run.company_of_other_uid": (
        "the company with this RFC has the uid {other}, and the plan says {uid}: correct one of them"
    ),
    "run.adopted_company_gone": (
        "an earlier run adopted the company {uid}, and the account has it no more: use a new journal to continue with "
        "another company"
    ),
    # The program of the user.
    "run.on_row_failed": "on_row raised {type}; the row is delivered again by the next attempt",
    # The final audit.
    "run.audited": "{rfc}: {difference}",
    "run.audit_companies_not_listed": "the list at the end could not be read: {error}",
    "run.audit_series_not_listed": "its series could not be listed at the end: {error}",
    "run.audit_company_not_listed": "the list does not show its company {uid}",
    "run.audit_serie_not_listed": "the list does not show its serie {serie} ({uid})",
    "run.audit_several_series": "the company has {count} series of this kind ({serie}): {uids}",
    "run.audit_other_keys": (
        "the list gives its company {uid} other keys than those that the run used: its series may have been created "
        "in another company"
    ),
    # The plan changed what was sent.
    "run.company_changed": Plural(
        "{rfc}: its {columns} has changed since it was sent: restore the old value, or use a new journal",
        "{rfc}: its {columns} have changed since it was sent: restore the old value, or use a new journal",
    ),
    "run.adopted_changed": Plural(
        "{rfc}: its {columns} has changed since an earlier run adopted the company: restore the old value, or use a "
        "new journal",
        "{rfc}: its {columns} have changed since an earlier run adopted the company: restore the old values, or use a "
        "new journal",
    ),
    "run.uid_changed": (
        "{rfc}: the plan says the uid {uid}, and earlier runs continued with the company {other}: correct the uid, or "
        "use a new journal"
    ),
    "run.folio_changed": (
        "{rfc}: serie {serie}: its folio has changed since it was sent: restore the old value, or use a new journal"
    ),
    "run.company_removed": ("{rfc}: the company was removed from the plan, but may exist: put the row back"),
    "run.company_and_series_removed": (
        "{rfc}: the company and its {count} series were removed from the plan, but may exist: put the row back"
    ),
    "run.serie_removed": "{rfc}: its serie {serie} was removed from the plan, but may exist: put it back",
}
