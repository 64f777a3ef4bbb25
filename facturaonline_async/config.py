"""Settings and key pairs, as frozen values."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen, validators
from attrs.converters import optional

from facturaonline_async import _base_url as urls
from facturaonline_async._base_url import FACTURA_COM_PRODUCTION, FACTURA_COM_SANDBOX, PRODUCTION, SANDBOX
from facturaonline_async._endpoint_names import ENDPOINT_NAMES
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret, SecretBytes, to_secret
from facturaonline_async._validators import (
    VISIBLE_ASCII,
    count,
    instance_of,
    positive,
    positive_int,
    seconds,
    type_name,
    visible_ascii,
)
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.events import Event

__all__ = [
    "FACTURA_COM_PRODUCTION",
    "FACTURA_COM_SANDBOX",
    "PRODUCTION",
    "SANDBOX",
    "Config",
    "Credentials",
    "Rate",
    "RetryPolicy",
    "Secret",
    "SecretBytes",
]

Upload = Literal["multipart", "base64"]

DEFAULT_PLUGIN: Final = "9d4095c8f7ed5785cb14c0e3b033eeb8252416ed"
"""Value of the plug-in header in the provider's own samples."""


def _check_key(_: Credentials, attribute: Attribute[Secret], value: Secret) -> None:
    name = attribute.name
    if not isinstance(value, Secret):
        raise InvalidInputError(message("values.not_text", name=name, kind=type_name(value)), field=name)
    if not value:
        reason = message("values.required", name=name).then(message("values.keys_in_panel"))
        raise InvalidInputError(reason, field=name)
    if not VISIBLE_ASCII.fullmatch(value.reveal()):
        raise InvalidInputError(message("values.invalid_key", name=name), field=name)


@frozen(kw_only=True)
class Credentials:
    """The key pair of one company, or of the main account.

    Attributes:
        api_key: the API key that the panel shows. A text is converted to a `Secret`.
        secret_key: the secret key that the panel shows. A text is converted to a `Secret`.

    Raises:
        InvalidInputError: a key is empty, or holds anything but visible ASCII characters.

    """

    api_key: Secret = field(converter=to_secret, validator=_check_key)
    secret_key: Secret = field(converter=to_secret, validator=_check_key)

    @cached_property  # each call reads it twice; hashing each time costs 5 % of a read
    def fingerprint(self) -> str:
        """Hash that identifies the key pair in limits and logs without revealing it."""
        pair = f"{self.api_key.reveal()}\n{self.secret_key.reveal()}"
        return hashlib.blake2b(pair.encode(), digest_size=8).hexdigest()


@frozen
class Rate:
    """A rate limit: at most `calls` calls start in any window of `per` seconds.

    Attributes:
        calls: number of calls; 1 or more.
        per: length of the window, in seconds; above 0.

    """

    calls: int = field(validator=positive_int)
    per: float = field(validator=positive)


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how soon a call is retried, if a retry is safe.

    The wait before retry number i (from 0) is random, evenly distributed from 0 to ``min(longest, scale * 2**i)``
    seconds, where ``scale`` is `transient` or `throttled`.

    Attributes:
        attempts: maximum number of attempts of a call that writes; the first one counts. Default: 3.
        read_attempts: maximum number of attempts of a call that only reads. Default: 4.
        transient: scale of the wait after a network or server fault, in seconds. Default: 0.05.
        throttled: scale of the wait after HTTP 429 or 503, in seconds. Default: 1.
        longest: upper bound of a wait between attempts, in seconds. Default: 20.
        budget: tokens that all retries of a session share. A retry costs 14 tokens (5 after HTTP 429 or 503), which are
            refunded if it succeeds; each call that succeeds at its first attempt adds one token. With too few tokens
            left, errors are raised without a retry. Default: 500.

    """

    attempts: int = field(default=3, validator=positive_int)
    read_attempts: int = field(default=4, validator=positive_int)
    transient: float = field(default=0.05, validator=positive)
    throttled: float = field(default=1.0, validator=positive)
    longest: float = field(default=20.0, validator=positive)
    budget: int = field(default=500, validator=[instance_of(int), count])


def _to_rates(value: Rate | Iterable[Rate]) -> tuple[Rate, ...]:
    """Convert one rate, or several, to a tuple."""
    if isinstance(value, Iterable):
        return tuple(value)
    return (value,)


def _to_rates_by_endpoint(value: Mapping[str, Rate | Iterable[Rate]]) -> Mapping[str, tuple[Rate, ...]]:
    try:
        return {name: _to_rates(rates) for name, rates in value.items()}
    except AttributeError:
        return value  # type: ignore[return-value]  # the validator refuses it


def _check_rates(_: object, attribute: Attribute[Any], value: object) -> None:
    """Refuse values that are not rates, in a tuple or in a mapping of tuples."""
    groups: Iterable[object] = value.values() if isinstance(value, Mapping) else (value,)
    if not all(isinstance(group, tuple) and all(isinstance(rate, Rate) for rate in group) for group in groups):
        raise InvalidInputError(message("values.not_rates", name=attribute.name), field=attribute.name)


def _check_endpoint_rates(instance: object, attribute: Attribute[Any], value: Mapping[str, object]) -> None:
    """Refuse limits of unknown endpoints: a misspelt name would limit nothing."""
    _check_rates(instance, attribute, value)
    if unknown := sorted(repr(name)[:40] for name in value if name not in ENDPOINT_NAMES):
        known = ", ".join(sorted(ENDPOINT_NAMES))
        reason = message("values.unknown_endpoints", unknown=", ".join(unknown), known=known)
        raise InvalidInputError(reason, field=attribute.name)


def _check_upload(_: object, attribute: Attribute[Any], value: object) -> None:
    if value not in ("multipart", "base64"):
        raise InvalidInputError(message("values.invalid_upload", value=f"{value!r:.40}"), field=attribute.name)


def _check_proxy(_: object, attribute: Attribute[Any], value: object) -> None:
    """Refuse a URL that aiohttp would refuse or misread; never show the password."""
    if value is None:
        return
    try:
        parts = urlsplit(value.reveal() if isinstance(value, Secret) else "")
        is_proxy = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_proxy = False
    if not is_proxy:
        raise InvalidInputError(message("values.invalid_proxy"), field=attribute.name)


def _check_on_event(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and not callable(value):
        raise InvalidInputError(message("values.invalid_on_event", kind=type_name(value)), field=attribute.name)


@frozen(kw_only=True)
class Config:
    """Settings of a `SessionManager`. To change a copy, use ``attrs.evolve``.

    The default `rates` are **a courtesy and a guess**: the provider documents no limit, and none was found. Calls that
    wait for a rate start evenly spread; after a pause, as many calls as a window allows start at once.

    Attributes:
        base_url: full prefix such as `SANDBOX`. Only https is accepted, except for loopback addresses. The value is
            normalised, so that ``https://SANDBOX.facturaonline.com.mx:443/api/`` equals `SANDBOX`. Default: None;
            `connect` then reads ``FACTURAONLINE_BASE_URL``.
        rates: limits of each endpoint, for each key pair. Default: 10 calls in 1 second.
        endpoint_rates: limits of single endpoints, by name such as ``"series.create"``, which replace `rates`.
            Default: empty.
        total_rates: limits of all endpoints of one key pair together. Default: no limit.
        host_rates: limits of all calls of the session, with any key pair. Default: no limit. All rates limit the
            sessions of several processes together if these have a shared service (`SessionManager`).
        concurrency: maximum number of calls in flight. Default: 128.
        concurrency_per_key: maximum number of calls in flight for one key pair, so that one busy company cannot take
            every slot. Default: 64.
        max_wait: maximum time in seconds that a call waits for the rate limiter and for a free slot; a call that would
            wait longer raises `LimiterWaitError`. Default: None, no limit, even while the server has asked for a pause
            (of an hour at most). With ``shared=`` it must allow for one question to the shared service, which takes
            milliseconds; 0 refuses each call.
        connect_timeout: maximum time in seconds to connect, TLS included. Default: 5.
        read_timeout: maximum time in seconds without a byte from the server. Default: 20.
        total_timeout: maximum time in seconds of one attempt, from connecting to the last byte. Default: 30.
        upload_timeout: `total_timeout` of a call that uploads certificates, in seconds. Default: 60.
        deadline: maximum time in seconds of one call, over all its attempts and the waits between them. It starts when
            the limiter lets the first attempt start. Default: 90.
        settle: time in seconds after which a create whose response was lost counts as not done, if the company or
            serie has not appeared by then. Until then ``ensure`` creates no second one. Default: 150.
        grace: time in seconds from asking the service that several processes share for permission to create until the
            first byte of the create; after that nothing is sent, because another process may act. It counts only with
            ``shared=``. Default: None, `connect_timeout` and 1 second more.
        keepalive: time in seconds that an idle connection is kept. The default, 1.5, is below the server's own 2 s,
            so that no POST is sent on a connection that the server is closing.
        max_answer_bytes: maximum size of a decoded response that is not a list, in bytes. Default: 2 MiB.
        max_list_bytes: maximum size of a decoded list, in bytes. Default: 64 MiB.
        retry: how often and how soon safe calls are retried. Default: ``RetryPolicy()``.
        ssl_context: TLS settings, such as a certificate authority of your own. Default: None; the server's certificate
            is verified against the system's authorities.
        proxy: URL such as ``http://host:port``. The environment's proxies are never used. A text is converted to a
            `Secret`, because it may hold a password. Default: None, no proxy.
        plugin: value of the header that identifies the calling plug-in. Default: the one in the provider's samples.
        upload: ``"multipart"`` (the default) sends certificates as files; ``"base64"`` sends them as text fields, for
            servers that refuse files.
        on_event: function that is called with each `Event`, in the event loop; it must return quickly. Its exceptions
            are logged and ignored. Default: None.
        check_sello: whether each certificate, key and password is checked before it is sent (see
            `facturaonline_async.sello.check`). Errors raise `InvalidInputError`; warnings are logged. Default: True.

    Raises:
        InvalidInputError: a value is malformed; ``field`` names the attribute.

    """

    base_url: str | None = field(default=None, converter=urls.normalize)
    rates: tuple[Rate, ...] = field(default=(Rate(10, 1),), converter=_to_rates, validator=_check_rates)
    endpoint_rates: Mapping[str, tuple[Rate, ...]] = field(
        factory=dict, converter=_to_rates_by_endpoint, validator=_check_endpoint_rates, hash=False
    )
    total_rates: tuple[Rate, ...] = field(default=(), converter=_to_rates, validator=_check_rates)
    host_rates: tuple[Rate, ...] = field(default=(), converter=_to_rates, validator=_check_rates)
    concurrency: int = field(default=128, validator=positive_int)
    concurrency_per_key: int = field(default=64, validator=positive_int)
    max_wait: float | None = field(default=None, validator=seconds)
    connect_timeout: float = field(default=5.0, validator=positive)
    read_timeout: float = field(default=20.0, validator=positive)
    total_timeout: float = field(default=30.0, validator=positive)
    upload_timeout: float = field(default=60.0, validator=positive)
    deadline: float = field(default=90.0, validator=positive)
    settle: float = field(default=150.0, validator=positive)
    grace: float | None = field(default=None, validator=validators.optional(positive))
    keepalive: float = field(default=1.5, validator=positive)
    max_answer_bytes: int = field(default=2 * 2**20, validator=positive_int)
    max_list_bytes: int = field(default=64 * 2**20, validator=positive_int)
    retry: RetryPolicy = field(factory=RetryPolicy, validator=instance_of(RetryPolicy))
    ssl_context: ssl.SSLContext | None = field(
        default=None, hash=False, validator=instance_of(ssl.SSLContext, or_none=True)
    )
    proxy: Secret | None = field(default=None, converter=optional(to_secret), validator=_check_proxy)
    plugin: str = field(default=DEFAULT_PLUGIN, validator=visible_ascii)
    upload: Upload = field(default="multipart", validator=_check_upload)
    on_event: Callable[[Event], None] | None = field(default=None, repr=False, hash=False, validator=_check_on_event)
    check_sello: bool = field(default=True, validator=instance_of(bool))

    @property
    def is_production(self) -> bool:
        """Whether `base_url` is a production host, where invoices are real."""
        return self.base_url in {PRODUCTION, FACTURA_COM_PRODUCTION}
