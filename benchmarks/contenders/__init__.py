"""Who is compared: each does the same work in its own way."""

from __future__ import annotations

from typing import Final

from benchmarks.contenders.base import Contender
from benchmarks.contenders.library import Library
from benchmarks.contenders.others import Httpx, Requests, Wrapper
from benchmarks.contenders.raw import Floor, Identical, Idiomatic

__all__ = ["CONTENDERS", "Contender"]

CONTENDERS: Final[tuple[type[Contender], ...]] = (Floor, Identical, Library, Idiomatic, Wrapper, Httpx, Requests)
