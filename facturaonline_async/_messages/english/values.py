"""Texts about values and settings that a caller gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural
from facturaonline_async._messages.value_text import ValueText

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural | ValueText]] = {
    # Faults of a value, in a cell of a plan or in a field.
    "values.required": ValueText(
        cell="is required, and empty",
        field="{name} is required, and empty.",
    ),
    "values.control_character": ValueText(
        cell="holds the character {character} at place {place}: the API takes no line breaks, tabs or control "
        "characters. Is a quotation mark missing?",
        field="{name} holds the character {character} at place {place}: the API takes no line breaks, tabs or control "
        "characters.",
    ),
    "values.invisible_character": ValueText(
        cell="holds the invisible character {character}: delete it, or type the text anew",
        field="{name} holds the invisible character {character}: delete it, or type the text anew.",
    ),
    "values.character": "{code_point} ({unicode_name}) at place {place}",
    "values.not_picture": ValueText(
        cell="must be a PNG or JPEG picture",
        field="{name} must be a PNG or JPEG picture.",
    ),
    # Types.
    "values.wrong_type": "{name} must be {wanted}, and was {kind}.",
    "values.type": "a {name}",
    "values.type_with_vowel": "an {name}",
    # Texts.
    "values.not_text": "{name} must be a text, and was {kind}.",
    "values.not_text_or_none": "{name} must be a text or None, and was {kind}.",
    "values.empty": "{name} is empty.",
    "values.not_visible_ascii": "{name} must be visible ASCII, and not empty; it was {kind}.",
    "values.not_encodable": "{name} is not a text, or holds half a character (a lone surrogate).",
    "values.password_not_one_line": "{name} is empty, or holds a line break or another control character.",
    # Numbers.
    "values.not_positive": "{name} must be a number above 0, and was {value}.",
    "values.not_positive_int": "{name} must be a whole number above 0, and was {value}.",
    "values.negative": "{name} must be a number from 0 up, and was {value}.",
    "values.not_count": "{name} must be a whole number from 0 up, and was {kind}.",
    "values.not_seconds": "{name} must be None or a number of seconds from 0 up, and was {value}.",
    "values.settle_too_short": "settle must be at least {least:g} s with shared=, and was {settle:g} s: a create that "
    "another process sent as late as it may could appear after it. The least is upload_timeout, grace and 10 s.",
    # Times.
    "values.not_datetime_or_none": "{name} must be a datetime or None, and was {kind}.",
    "values.without_time_zone": "{name} must be an aware datetime: give it a time zone.",
    # Keys and secrets.
    "values.connect_without_credentials": "credentials are missing: pass Credentials(…), or set {variable}.",
    "values.keys_in_panel": "Give the key that the panel shows.",
    "values.invalid_key": "{name} holds a blank, a line break or another character that never occurs in a key. "
    "Copy the whole key, and nothing else, from the panel.",
    "values.secret_not_text": "a key or password must be a text, and was {kind}",
    "values.secret_pickled": "A Secret cannot be pickled. If the text must be stored, pass the result of .reveal().",
    "values.secret_bytes_pickled": "Secret bytes cannot be pickled. If they must be stored, pass bytes(value).",
    "values.plan_row_pickled": "Rows of a plan's file cannot be pickled. Give other processes the path of the file.",
    # The base URL.
    "values.config_without_base_url": "Config.base_url is missing. Give SANDBOX or PRODUCTION.",
    "values.connect_without_base_url": "base_url is missing: pass base_url=SANDBOX (or PRODUCTION), "
    "or set FACTURAONLINE_BASE_URL.",
    "values.base_url_not_url": "base_url is not a URL.",
    "values.base_url_not_http": "base_url is not an http(s) URL in ASCII.",
    "values.base_url_with_query": "base_url must not hold a user, a query or a fragment.",
    "values.base_url_with_dots": "base_url holds the path segment '.' or '..'.",
    "values.base_url_example": "Give a full prefix such as {url}.",
    "values.base_url_unencrypted": "base_url must be https, because http sends the keys unencrypted. "
    "Only loopback addresses may use http.",
    # Other settings, and the uid of a call.
    "values.not_rates": "{name} takes Rate values, such as Rate(10, 1).",
    "values.unknown_endpoints": "endpoint_rates names {unknown}, but the endpoints are {known}.",
    "values.invalid_upload": 'upload must be "multipart" or "base64", and was {value}.',
    "values.invalid_proxy": "proxy must be a URL such as http://127.0.0.1:3128.",
    "values.invalid_on_event": "on_event must be a function of one event, not {kind}.",
    "values.invalid_uid": "uid must be 1 to 64 letters, digits, '-' or '_', and was {value}.",
}
