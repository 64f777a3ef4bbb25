"""Settings and secrets: frozen values that say how to talk to the API, and as whom."""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Final, Literal, NoReturn, Self, SupportsIndex, overload
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen
from attrs.converters import optional

from facturaonline_async import _base_url as urls
from facturaonline_async._base_url import FACTURA_COM_PRODUCTION, FACTURA_COM_SANDBOX, PRODUCTION, SANDBOX
from facturaonline_async._endpoint_names import ENDPOINT_NAMES
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
"""The value that the provider's own samples send to say which plug-in is calling."""


def hidden_slots(cls: type) -> tuple[Any, ...]:
    """Take the slots of a class out of it, and return their descriptors: only the code that holds them reads the slots.

    Serialisers, ``inspect`` and debuggers find the slots of an instance through its class. There is nothing to find.
    """
    names: tuple[str, ...] = vars(cls)["__slots__"]
    descriptors = tuple(vars(cls)[name] for name in names)
    for name in names:
        delattr(cls, name)
    cls.__slots__ = ()  # type: ignore[attr-defined]  # copyreg reads it
    return descriptors


class _NotSerializable:
    """A value that no serialiser gets: pickling raises, and copies are the value itself."""

    __slots__ = ()

    _refusal: ClassVar[str]

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(self._refusal)

    def __reduce__(self) -> NoReturn:
        self.__reduce_ex__(0)

    def __getstate__(self) -> NoReturn:
        self.__reduce_ex__(0)


class Secret(_NotSerializable):
    """A text that never shows itself: a key or a password.

    ``str``, ``repr`` and ``format`` give asterisks, and only `reveal` gives the text. No serialiser gets it: pickling
    raises, copies are the secret itself, and no attribute holds the text. Two secrets are equal when their texts are.
    """

    __slots__ = ("_text",)

    _refusal = "A Secret cannot be pickled. Pass what .reveal() gives, if you really must."

    def __init__(self, value: str | Secret) -> None:
        if not isinstance(value, (str, Secret)):
            raise InvalidInputError(f"a key or password must be a text, and was {type_name(value)}", field="secret")
        _TEXT.__set__(self, value if isinstance(value, str) else value.reveal())

    def reveal(self) -> str:
        """Return the text itself. Pass it on at once; do not store it."""
        text: str = _TEXT.__get__(self)
        return text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, format_spec: str) -> str:
        return format("***", format_spec)

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self.reveal().encode("utf-8", "surrogatepass"), other.reveal().encode("utf-8", "surrogatepass")
        )

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))


(_TEXT,) = hidden_slots(Secret)


class SecretBytes(_NotSerializable, bytes):
    """Bytes that do not show themselves: a private key, or a request's body on its way.

    No serialiser of objects gets them. They still are bytes: a format that writes bytes writes these.
    """

    __slots__ = ()

    _refusal = "Secret bytes cannot be pickled. Pass bytes(value), if you really must."

    def __repr__(self) -> str:
        return f"<{len(self)} secret bytes>"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)

    @overload
    def __getitem__(self, index: SupportsIndex) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> SecretBytes: ...

    def __getitem__(self, index: SupportsIndex | slice) -> int | SecretBytes:
        """Return a byte, or a part that does not show itself either: whoever shortens a repr asks for one."""
        if isinstance(index, slice) and index.indices(len(self)) == (0, len(self), 1):
            return self  # aiohttp asks for all of a body
        part = super().__getitem__(index)
        return SecretBytes(part) if isinstance(part, bytes) else part

    def __getnewargs__(self) -> NoReturn:
        self.__reduce_ex__(0)


# Converters hand on what they cannot take, so that validators may refuse it by the field's name.


def to_secret(value: str | Secret) -> Secret:
    """Keep a text as a secret."""
    return Secret(value) if isinstance(value, str) else value


def to_secret_bytes(value: bytes) -> bytes:
    """Keep bytes as secret ones."""
    return SecretBytes(value) if isinstance(value, bytes) and type(value) is not SecretBytes else value


def _check_key(_: Credentials, attribute: Attribute[Secret], value: Secret) -> None:
    name = attribute.name
    if not isinstance(value, Secret):
        raise InvalidInputError(f"{name} must be a text, and was {type_name(value)}.", field=name)
    if not value:
        raise InvalidInputError(f"{name} is empty. Give the key that the panel shows.", field=name)
    if not VISIBLE_ASCII.fullmatch(value.reveal()):
        raise InvalidInputError(
            f"{name} holds a blank, a line break or another character that no key has. Was it pasted whole, and alone?",
            field=name,
        )


@frozen(kw_only=True)
class Credentials:
    """The key pair of one company (or of the main account).

    Both keys are kept as `Secret`; texts are accepted. An empty key, or one with anything but visible ASCII, raises
    `InvalidInputError` at once.
    """

    api_key: Secret = field(converter=to_secret, validator=_check_key)
    secret_key: Secret = field(converter=to_secret, validator=_check_key)

    @cached_property  # each call asks twice; hashing each time costs 5 % of a read
    def fingerprint(self) -> str:
        """Names the pair in limits, locks and logs without giving it away."""
        pair = f"{self.api_key.reveal()}\n{self.secret_key.reveal()}"
        return hashlib.blake2b(pair.encode(), digest_size=8).hexdigest()


@frozen
class Rate:
    """Never more than ``calls`` calls start in any window of ``per`` seconds."""

    calls: int = field(validator=positive_int)
    per: float = field(validator=positive)


@frozen(kw_only=True)
class RetryPolicy:
    """How often, and how soon, a call that is harmless to repeat is repeated.

    The wait before repeat number i (from 0) is drawn evenly from 0 to ``min(longest, first * 2**i)`` seconds, where
    ``first`` is `transient` or `throttled`.
    """

    #: Attempts at most of a call that writes.
    attempts: int = field(default=3, validator=positive_int)
    #: Attempts at most of a call that only reads.
    read_attempts: int = field(default=4, validator=positive_int)
    #: Seconds; scale of the wait after a fault on the way.
    transient: float = field(default=0.05, validator=positive)
    #: Seconds; scale of the wait after the server said that it is too busy.
    throttled: float = field(default=1.0, validator=positive)
    #: Seconds; no wait between attempts is drawn longer.
    longest: float = field(default=20.0, validator=positive)
    #: Tokens of a session that its repeats share: each costs 14 (5 after the server said that it is too busy), and gets
    #: them back if it succeeds; each call that succeeds at once brings one. With too few left, errors come at once.
    budget: int = field(default=500, validator=[instance_of(int), count])


def _to_rates(value: Rate | Iterable[Rate]) -> tuple[Rate, ...]:
    """Take one rate, or several."""
    if isinstance(value, Iterable):
        return tuple(value)
    return (value,)


def _to_rates_by_endpoint(value: Mapping[str, Rate | Iterable[Rate]]) -> Mapping[str, tuple[Rate, ...]]:
    try:
        return {name: _to_rates(rates) for name, rates in value.items()}
    except AttributeError:
        return value  # type: ignore[return-value]  # for the validator to refuse


def _check_rates(_: object, attribute: Attribute[Any], value: object) -> None:
    """Refuse what is no rate, in a tuple or in a mapping of tuples."""
    groups: Iterable[object] = value.values() if isinstance(value, Mapping) else (value,)
    if not all(isinstance(group, tuple) and all(isinstance(rate, Rate) for rate in group) for group in groups):
        raise InvalidInputError(f"{attribute.name} takes Rate values, such as Rate(10, 1).", field=attribute.name)


def _check_endpoint_rates(instance: object, attribute: Attribute[Any], value: Mapping[str, object]) -> None:
    """Refuse limits for endpoints that do not exist: a misspelt name would limit nothing."""
    _check_rates(instance, attribute, value)
    if unknown := sorted(repr(name)[:40] for name in value if name not in ENDPOINT_NAMES):
        raise InvalidInputError(
            f"endpoint_rates names {', '.join(unknown)}, but the endpoints are {', '.join(sorted(ENDPOINT_NAMES))}.",
            field=attribute.name,
        )


def _check_upload(_: object, attribute: Attribute[Any], value: object) -> None:
    if value not in ("multipart", "base64"):
        raise InvalidInputError(f'upload must be "multipart" or "base64", and was {value!r:.40}.', field=attribute.name)


def _check_proxy(_: object, attribute: Attribute[Any], value: object) -> None:
    """Refuse what aiohttp would refuse at the first call, or take for something else. Never shows the password."""
    if value is None:
        return
    try:
        parts = urlsplit(value.reveal() if isinstance(value, Secret) else "")
        is_proxy = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_proxy = False
    if not is_proxy:
        raise InvalidInputError("proxy must be a URL such as http://127.0.0.1:3128.", field=attribute.name)


def _check_on_event(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and not callable(value):
        raise InvalidInputError(
            f"on_event must be a function of one event, not {type_name(value)}.", field=attribute.name
        )


@frozen(kw_only=True)
class Config:
    """Everything that a `SessionManager` can be told. Change a copy with ``attrs.evolve``.

    The default `rates` are **our courtesy, a guess**: the provider documents no limit and none was found. Calls that
    have to wait for a rate start evenly spread; after a pause, as many as a window holds start at once.
    """

    #: Full prefix such as `SANDBOX`; https only, loopback excepted. Kept in its normal form, so that
    #: ``https://SANDBOX.facturaonline.com.mx:443/api/`` and `SANDBOX` are one host.
    base_url: str | None = field(default=None, converter=urls.normalize)
    #: Limits of each endpoint, for each key pair.
    rates: tuple[Rate, ...] = field(default=(Rate(10, 1),), converter=_to_rates, validator=_check_rates)
    #: Limits of single endpoints, by name such as ``"series.create"``, instead of `rates`.
    endpoint_rates: Mapping[str, tuple[Rate, ...]] = field(
        factory=dict, converter=_to_rates_by_endpoint, validator=_check_endpoint_rates, hash=False
    )
    #: Limits of all endpoints of a key pair together.
    total_rates: tuple[Rate, ...] = field(default=(), converter=_to_rates, validator=_check_rates)
    #: Limits of every call of the session, whatever the keys.
    host_rates: tuple[Rate, ...] = field(default=(), converter=_to_rates, validator=_check_rates)
    #: Calls in flight at once, at most.
    concurrency: int = field(default=64, validator=positive_int)
    #: Calls in flight at once for one key pair, at most: one busy company cannot take every place.
    concurrency_per_key: int = field(default=32, validator=positive_int)
    #: Seconds that a call may wait in the limiter and the gate together; None: as long as it takes, also while the
    #: server has asked for no more calls with these keys (it may ask for an hour at most).
    max_wait: float | None = field(default=None, validator=seconds)
    #: Seconds to connect, TLS included.
    connect_timeout: float = field(default=5.0, validator=positive)
    #: Seconds without a byte from the server.
    read_timeout: float = field(default=20.0, validator=positive)
    #: Seconds for one attempt, from connect to the last byte.
    total_timeout: float = field(default=30.0, validator=positive)
    #: The same for a call that uploads certificates.
    upload_timeout: float = field(default=60.0, validator=positive)
    #: Seconds for one call, over all its attempts and the waits between them, from the limiter's first grant.
    deadline: float = field(default=90.0, validator=positive)
    #: Seconds after which a create whose answer was lost counts as not done, if it has not shown up until then. Until
    #: then ``ensure`` creates no second one.
    settle: float = field(default=150.0, validator=positive)
    #: Seconds that an idle connection is kept: less than the server's own 2 s, so that no POST meets a dropped one.
    keepalive: float = field(default=1.5, validator=positive)
    #: Bytes of a decoded answer that is not a list, at most.
    max_answer_bytes: int = field(default=2 * 2**20, validator=positive_int)
    #: Bytes of a decoded list, at most.
    max_list_bytes: int = field(default=64 * 2**20, validator=positive_int)
    retry: RetryPolicy = field(factory=RetryPolicy, validator=instance_of(RetryPolicy))
    #: For a company's own certificate authority; verification is never off by default.
    ssl_context: ssl.SSLContext | None = field(
        default=None, hash=False, validator=instance_of(ssl.SSLContext, or_none=True)
    )
    #: ``http://host:port``; the environment's proxies are never used. Kept as a `Secret`, for it may hold a password.
    proxy: Secret | None = field(default=None, converter=optional(to_secret), validator=_check_proxy)
    #: Sent as the header that names the calling plug-in.
    plugin: str = field(default=DEFAULT_PLUGIN, validator=visible_ascii)
    #: ``"base64"`` sends certificates as text fields, where files are refused.
    upload: Upload = field(default="multipart", validator=_check_upload)
    #: Called with each `Event`, in the event loop: keep it short. What it raises is logged, and goes no further.
    on_event: Callable[[Event], None] | None = field(default=None, repr=False, hash=False, validator=_check_on_event)
    #: Check each certificate, key and password before it is sent (`facturaonline_async.sello.check`): errors raise
    #: `InvalidInputError`, warnings are logged.
    check_sello: bool = field(default=True, validator=instance_of(bool))

    @property
    def is_production(self) -> bool:
        """Whether `base_url` is one of those where invoices count."""
        return self.base_url in {PRODUCTION, FACTURA_COM_PRODUCTION}
