"""Help and usage errors in Spanish.

The code has English help texts, as typer shows them. The catalogue has the Spanish text of each paragraph; a paragraph
with examples needs none. A text that the catalogue lacks stays English, which a test prevents.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any, Final, NamedTuple

__all__ = [
    "EXAMPLES",
    "Catalogue",
    "read_catalogue",
    "translate_command",
    "translate_error",
    "translate_rich",
    "word",
    "write_usage",
]

EXAMPLES: Final = "Examples:\n"
"""Begin of a paragraph with command lines."""
_TITLES: Final = (
    "ARGUMENTS_PANEL_TITLE",
    "OPTIONS_PANEL_TITLE",
    "COMMANDS_PANEL_TITLE",
    "DEFAULT_STRING",
    "REQUIRED_LONG_STRING",
    "RICH_HELP",
)
"""Names in `typer.rich_utils`, which reads them each time that it shows them."""


class Catalogue(NamedTuple):
    """The Spanish texts of the command line.

    Attributes:
        texts: Spanish paragraphs by English ones.
        words: Spanish forms of what stands around the texts, by English ones.
        errors: English and Spanish forms of typer's usage errors, in the order in which they are tried.

    """

    texts: dict[str, str]
    words: dict[str, str]
    errors: list[tuple[str, str]]

    def text(self, english: str) -> str:
        """Return a help text, paragraph by paragraph.

        Args:
            english: the English text.

        """
        return "\n\n".join(map(self._paragraph, english.split("\n\n")))

    def _paragraph(self, english: str) -> str:
        if english.startswith(EXAMPLES):
            return f"{self.words[EXAMPLES.strip()]}\n{english.removeprefix(EXAMPLES)}"
        return self.texts.get(english, english)

    def error(self, english: str) -> str:
        """Return the text of a usage error.

        Args:
            english: the English text. One of the library's own is Spanish already.

        """
        for form, spanish in self.errors:
            parts = _parts(form, english)
            if parts is not None:
                if "reason" in parts:
                    parts["reason"] = self.error(parts["reason"])
                return spanish.format_map(parts)
        return english


def _parts(form: str, text: str) -> dict[str, str] | None:
    """Return what a text has in place of a form's placeholders.

    None: it is not of this form. Each placeholder stands for the shortest text, of at least one character. A regular
    expression would go back and forth in a long text.
    """
    fields = [(literal, name) for literal, name, _, _ in Formatter().parse(form)]
    if fields[-1][1] is not None:
        fields.append(("", None))
    parts: dict[str, str] = {}
    at, before = 0, None
    for number, (literal, name) in enumerate(fields, 1):
        start = at
        if before is not None:
            is_last = number == len(fields)
            start = max(at + 1, len(text) - len(literal)) if is_last else text.find(literal, at + 1)
            parts[before] = text[at:start]
        if start < 0 or not text.startswith(literal, start):
            return None
        at, before = start + len(literal), name
    return parts if at == len(text) and all(parts.values()) else None


@cache
def read_catalogue() -> Catalogue:
    """Return the texts of the file."""
    content = files("facturaonline_async._messages").joinpath("spanish_help.toml").read_text("utf-8")
    tables: dict[str, Any] = tomllib.loads(content)
    return Catalogue(
        words=tables.pop("words"),
        errors=[(each["en"], each["es"]) for each in tables.pop("errors")],
        texts={each["en"]: each["es"] for texts in tables.values() for each in texts},
    )


def translate_command(command: Any, context: Any) -> None:
    """Translate the help of a command, and the list of commands of a group.

    Args:
        command: command of typer, which is changed.
        context: its context.

    """
    catalogue = read_catalogue()
    for each in (command, *getattr(command, "commands", {}).values(), *command.get_params(context)):
        if getattr(each, "help", None):
            each.help = catalogue.text(each.help)
    if command.epilog:
        command.epilog = catalogue.text(command.epilog)


def translate_error(error: Any) -> None:
    """Translate a usage error, and what typer shows around it.

    Args:
        error: error of typer, which is changed.

    """
    catalogue = read_catalogue()
    text = catalogue.error(error.format_message())
    error.format_message = lambda: text
    translate_rich()


def write_usage(command: Any, context: Any, formatter: Any) -> None:
    """Write the line with the arguments of a command.

    Args:
        command: command of typer.
        context: its context.
        formatter: formatter of typer, to which the line is added.

    """
    pieces: list[str] = command.collect_usage_pieces(context)
    formatter.write_usage(context.command_path, " ".join(map(word, pieces)), f"{word('Usage')}: ")


def word(english: str) -> str:
    """Return what stands around the texts, such as the title of the options.

    Args:
        english: the English form, which is returned if it is none of these.

    """
    return read_catalogue().words.get(english, english)


def translate_rich() -> None:
    """Translate the titles and marks in the boxes of typer."""
    from typer import rich_utils  # noqa: PLC0415  # a narrow terminal gets no boxes

    for name in _TITLES:
        setattr(rich_utils, name, word(getattr(rich_utils, name)))
    usage = f"(?P<usage>{word('Usage')}:)"  # which is coloured
    rich_utils.OptionHighlighter.highlights = [*rich_utils.OptionHighlighter.highlights, usage]
