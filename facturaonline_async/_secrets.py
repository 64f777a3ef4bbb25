"""Keys, passwords and files that are masked in logs, tracebacks and pickles."""

from __future__ import annotations

import hmac
from typing import Any, ClassVar, NoReturn, Self, SupportsIndex, overload

from facturaonline_async._messages import message
from facturaonline_async._validators import type_name
from facturaonline_async.errors import InvalidInputError

__all__ = ["NotSerializable", "Secret", "SecretBytes", "hidden_slots", "to_secret", "to_secret_bytes"]


def hidden_slots(cls: type) -> tuple[Any, ...]:
    """Remove the slot descriptors from a class and return them.

    Serialisers, ``inspect`` and debuggers find the slots of an instance through its class. Afterwards only the code
    that holds the descriptors can read the slots.
    """
    names: tuple[str, ...] = vars(cls)["__slots__"]
    descriptors = tuple(vars(cls)[name] for name in names)
    for name in names:
        delattr(cls, name)
    cls.__slots__ = ()  # type: ignore[attr-defined]  # copyreg reads it
    return descriptors


class NotSerializable:
    """Base of values that cannot be pickled; a copy is the value itself."""

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


class Secret(NotSerializable):
    """A key or a password that is masked in logs, tracebacks and pickles.

    ``str``, ``repr`` and ``format`` return asterisks; only `reveal` returns the text. Pickling raises `TypeError`, a
    copy is the secret itself, and no attribute holds the text. Two secrets are equal if their texts are equal.

    Args:
        value: the text, or another secret with the same text.

    Raises:
        InvalidInputError: `value` is neither.

    """

    __slots__ = ("_text",)

    _refusal = message("values.secret_pickled")

    def __init__(self, value: str | Secret) -> None:
        if not isinstance(value, (str, Secret)):
            raise InvalidInputError(message("values.secret_not_text", kind=type_name(value)), field="secret")
        _TEXT.__set__(self, value if isinstance(value, str) else value.reveal())

    def reveal(self) -> str:
        """Return the text. Use it at once; do not store it."""
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


class SecretBytes(NotSerializable, bytes):
    """Bytes that are masked in logs and tracebacks: a private key or a request body.

    Pickling raises `TypeError`. A format that stores plain bytes still stores these.
    """

    __slots__ = ()

    _refusal = message("values.secret_bytes_pickled")

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
        """Return a byte, or a masked slice: tools that shorten a repr take slices."""
        if isinstance(index, slice) and index.indices(len(self)) == (0, len(self), 1):
            return self  # aiohttp asks for all of a body
        part = super().__getitem__(index)
        return SecretBytes(part) if isinstance(part, bytes) else part

    def __getnewargs__(self) -> NoReturn:
        self.__reduce_ex__(0)


# Converters return values of a wrong type unchanged, so that the validator's error can name the field.


def to_secret(value: str | Secret) -> Secret:
    """Convert a text to a `Secret`."""
    return Secret(value) if isinstance(value, str) else value


def to_secret_bytes(value: bytes) -> bytes:
    """Convert bytes to `SecretBytes`."""
    return SecretBytes(value) if isinstance(value, bytes) and type(value) is not SecretBytes else value
