"""Cell of a workbook that does not hold what a person sees or means."""

from __future__ import annotations

from typing import Self

from facturaonline_async._messages import Message

__all__ = ["DoubtfulCell"]


class DoubtfulCell(str):
    """Text of a cell that is refused, such as an error or a date.

    Args:
        text: the text.
        problem: why it is refused.
        is_flag: whether it is true or false, and right in a column of flags.

    Attributes:
        problem: why it is refused.
        is_flag: whether it is true or false, and right in a column of flags.

    """

    __slots__ = ("is_flag", "problem")

    problem: Message
    is_flag: bool

    def __new__(cls, text: str, problem: Message, *, is_flag: bool = False) -> Self:
        """Return the text with its problem."""
        self = super().__new__(cls, text)
        self.problem, self.is_flag = problem, is_flag
        return self
