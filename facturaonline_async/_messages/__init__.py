"""Texts for people, each with a stable code and named parameters.

``english`` holds the texts by code. ``spanish.toml`` is a translation, with the same codes and the same parameters.

The library speaks English. The command chooses the language of its process with `use_language`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self, TypeAlias

from facturaonline_async._messages.english import TEXTS
from facturaonline_async._messages.plural import Plural
from facturaonline_async._messages.value_text import ValueText

__all__ = [
    "Language",
    "Message",
    "Parameter",
    "Texts",
    "code_of",
    "current_language",
    "in_all_languages",
    "message",
    "use_language",
]

#: A language, by its ISO 639-1 code.
Language: TypeAlias = Literal["en", "es"]

#: Texts by code.
Texts: TypeAlias = Mapping[str, str | Plural | ValueText]


class _Current:
    """Language of this process."""

    language: ClassVar[Language] = "en"
    texts: ClassVar[Texts] = TEXTS


def use_language(language: Language) -> None:
    """Make all later messages of this process in a language.

    Args:
        language: the language.

    """
    texts: Texts = TEXTS
    if language == "es":
        from facturaonline_async._messages.spanish import read_texts  # noqa: PLC0415  # few programs need it

        texts = read_texts()
    _Current.language, _Current.texts = language, texts


def current_language() -> Language:
    """Return the language of this process."""
    return _Current.language


class Message(str):
    """Text for a person, with what it was made of.

    It is a str, and a str method returns a plain one. A serialiser that accepts nothing but exact str (msgspec, PyYAML)
    needs ``str(message)``, which is a plain text.

    Args:
        text: the whole text. The other arguments are the attributes below.

    Attributes:
        code: stable name, such as ``"plan.required"``; its part before the dot is the area. ``""`` if it has none.
        parameters: values in the text, by name; never a secret.
        following: messages appended with `then`, in their order.

    """

    __slots__ = ("code", "following", "parameters")

    code: str
    parameters: Mapping[str, Parameter]
    following: tuple[Message, ...]

    def __new__(
        cls,
        text: str = "",
        code: str = "",
        parameters: Mapping[str, Parameter] | None = None,
        following: tuple[Message, ...] = (),
    ) -> Self:
        """Return the text with what it was made of."""
        self = super().__new__(cls, text)
        self.code, self.parameters, self.following = code, {} if parameters is None else parameters, following
        return self

    def __reduce__(self) -> tuple[type[Message], tuple[object, ...]]:
        return type(self), (str(self), self.code, self.parameters, self.following)

    def then(self, other: Message) -> Message:
        """Return this message followed by another one.

        The code and the parameters stay those of this message.

        Args:
            other: sentences that complete this message.

        """
        return Message(f"{self} {other}", self.code, self.parameters, (*self.following, other))


#: A value in a text. Several messages are joined by commas.
Parameter: TypeAlias = str | int | float | tuple[Message, ...]


def message(code: str, /, **parameters: Parameter) -> Message:
    """Return the text with this code, in the language of this process.

    Args:
        code: code of the text. A text with a singular and a plural is chosen by the parameter ``count``; a fault's text
            by the parameter ``name``, which is ``""`` for a cell of a plan.
        **parameters: values for the text's placeholders, never secret; a test compares their names with the text's.

    """
    template = _Current.texts[code]
    if isinstance(template, Plural):
        template = template.one if parameters["count"] == 1 else template.other
    elif isinstance(template, ValueText):
        template = template.field if parameters["name"] else template.cell
    shown = {name: ", ".join(each) if isinstance(each, tuple) else each for name, each in parameters.items()}
    return Message(template.format_map(shown), code, parameters, ())


def in_all_languages(code: str) -> set[str]:
    """Return a text in every language.

    Args:
        code: code of a text without parameters.

    """
    from facturaonline_async._messages.spanish import read_texts  # noqa: PLC0415  # few programs need it

    return {str(texts[code]) for texts in (TEXTS, read_texts())}


def code_of(text: object) -> str:
    """Return the code of a message, or ``""`` for any other text.

    Args:
        text: text of an error or of a problem.

    """
    return text.code if isinstance(text, Message) else ""
