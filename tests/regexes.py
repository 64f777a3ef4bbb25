"""Every regular expression of the package, and a matcher that counts the steps that one takes.

`re` tells no steps, and its time depends on the machine. So this matcher does what `re` does, by plain backtracking
over the same parse tree, and counts each comparison. It is slower by far, and takes at least the steps that `re` takes:
a pattern that is linear here is linear there.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Callable, Iterator
from re import _constants as code, _parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

from attrs import frozen

import facturaonline_async

#: Calls of `re` whose first argument is a pattern.
FUNCTIONS = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}

Next = Callable[[int], int | None]


@frozen
class Found:
    """A pattern of the package, and how it is used.

    Attributes:
        pattern: compiled.
        name: of the constant that holds it, or ``""``.
        calls: the functions of `re` that are called with it.

    """

    pattern: re.Pattern[Any]
    name: str = ""
    calls: frozenset[str] = frozenset()

    @property
    def is_anchored(self) -> bool:
        """Whether it is tried at the text's beginning only."""
        return bool(self.calls) and self.calls <= {"match", "fullmatch"}


class TooManyStepsError(Exception):
    """The matcher takes more steps than it may."""


def modules() -> Iterator[ModuleType]:
    yield facturaonline_async
    for found in pkgutil.walk_packages(facturaonline_async.__path__, "facturaonline_async."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def found_in(module: ModuleType) -> tuple[list[Found], list[str]]:
    """Return the patterns that a module's source names, and the source of those that are made as it runs."""
    patterns, made = [], []
    tree = ast.parse(inspect.getsource(module))
    assignments = [each for each in ast.walk(tree) if isinstance(each, (ast.Assign, ast.AnnAssign)) and each.value]
    names = {call: _target(each) for each in assignments for call in ast.walk(each.value or each)}
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or _of_re(call) is None:
            continue
        function = str(_of_re(call))
        flags = next((each.value for each in call.keywords if each.arg == "flags"), None)
        place = {"compile": 1, "split": 3, "sub": 4, "subn": 4}.get(function, 2)
        flags = call.args[place] if flags is None and len(call.args) > place else flags
        try:
            pattern = re.compile(_value(call.args[0], module), 0 if flags is None else _value(flags, module))
        except NameError:
            made.append(ast.unparse(call.args[0]))
            continue
        given = call.args[0].id if isinstance(call.args[0], ast.Name) else ""
        name = names.get(call, "") if function == "compile" else given
        calls = frozenset(_methods(tree, name)) if function == "compile" else frozenset({function})
        patterns.append(Found(pattern, name, calls))
    return patterns, made


def _of_re(call: ast.Call) -> str | None:
    """Return the function of `re` that is called with a pattern."""
    function = call.func
    is_one = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "re"
    return function.attr if is_one and function.attr in FUNCTIONS else None  # type: ignore[attr-defined]


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])


def _methods(tree: ast.Module, name: str) -> set[str]:
    """Return the methods that are called of the constant, or of what a loop takes out of it."""
    loops = [each for each in ast.walk(tree) if isinstance(each, (ast.For, ast.comprehension))]
    inside = {
        each.id
        for loop in loops
        if ast.unparse(loop.iter) == name
        for each in ast.walk(loop.target)
        if isinstance(each, ast.Name)
    }
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name))
    return {node.attr for node in found if ast.unparse(node.value) in {name, *inside}}


def _value(node: ast.expr, module: ModuleType) -> Any:
    return eval(compile(ast.Expression(node), "pattern", "eval"), dict(vars(module)))  # noqa: S307  # our own source


class Counting:
    """A pattern as a backtracking matcher that counts its steps."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
        self.tree = _parser.parse(text, pattern.flags)
        self.is_ascii = isinstance(pattern.pattern, bytes) or bool(pattern.flags & re.ASCII)
        self.ignores_case = bool(pattern.flags & re.IGNORECASE)
        self.is_multiline = bool(pattern.flags & re.MULTILINE)
        self.matches_all = bool(pattern.flags & re.DOTALL)
        self.steps = 0
        self.most: float = math.inf
        self.text = ""
        self.groups: dict[int, tuple[int, int]] = {}

    def match(self, text: str) -> None:
        """Do what ``fullmatch`` does: the end has to be reached."""
        self.text, self.steps = text, 0
        self._run(list(self.tree), 0, lambda at: at if at == len(text) else None)

    def find_all(self, text: str) -> list[tuple[int, int]]:
        """Return what ``finditer`` finds, as ``sub`` and ``search`` do, too."""
        self.text, self.steps, found, start = text, 0, [], 0
        while start <= len(text):
            self.steps += 1
            end = self._run(list(self.tree), start, lambda at: at)
            if end is None:
                start += 1
                continue
            found.append((start, end))
            start = end if end > start else start + 1
        return found

    def _run(self, nodes: list[tuple[Any, Any]], at: int, then: Next) -> int | None:
        """Match the nodes, and what comes then; return where that ends."""
        if not nodes:
            return then(at)
        (kind, what), rest = nodes[0], nodes[1:]
        self.steps += 1
        if kind in {code.LITERAL, code.NOT_LITERAL, code.IN, code.ANY}:
            return self._run(rest, at + 1, then) if self._is_one(kind, what, at) else None
        return getattr(self, f"_{str(kind).lower()}")(what, at, lambda end: self._run(rest, end, then))  # type: ignore[no-any-return]

    def _is_one(self, kind: Any, what: Any, at: int) -> bool:
        self.steps += 1
        if self.steps > self.most:
            raise TooManyStepsError
        if at >= len(self.text):
            return False
        character = self.text[at]
        if kind is code.ANY:
            return self.matches_all or character != "\n"
        if kind is code.IN:
            is_in = any(self._is_in(each, each_what, character) for each, each_what in what if each is not code.NEGATE)
            return is_in != (what[0][0] is code.NEGATE)
        return (chr(what) in self._cases(character)) == (kind is code.LITERAL)

    def _cases(self, character: str) -> set[str]:
        return {character, character.lower(), character.upper()} if self.ignores_case else {character}

    def _is_in(self, kind: Any, what: Any, character: str) -> bool:
        if kind is code.LITERAL:
            return chr(what) in self._cases(character)
        if kind is code.RANGE:
            return any(len(each) == 1 and what[0] <= ord(each) <= what[1] for each in self._cases(character))
        name = str(what).removeprefix("CATEGORY_")
        is_in = self._is_of(name.removeprefix("NOT_"), character)
        return is_in != name.startswith("NOT_")

    def _is_of(self, category: str, character: str) -> bool:
        if self.is_ascii and not character.isascii():
            return False
        if category == "WORD":
            return character.isalnum() or character == "_"
        return character.isspace() if category == "SPACE" else character.isdecimal()

    def _at(self, what: Any, at: int, then: Next) -> int | None:
        text = self.text
        is_boundary = 0
        if what in {code.AT_BOUNDARY, code.AT_NON_BOUNDARY}:
            before = at > 0 and self._is_of("WORD", text[at - 1])
            after = at < len(text) and self._is_of("WORD", text[at])
            is_boundary = before != after
        fits = {
            code.AT_BEGINNING: at == 0 or (self.is_multiline and text[at - 1] == "\n"),
            code.AT_BEGINNING_STRING: at == 0,
            code.AT_END: at == len(text) or text[at:] == "\n" or (self.is_multiline and text[at : at + 1] == "\n"),
            code.AT_END_STRING: at == len(text),
            code.AT_BOUNDARY: is_boundary,
            code.AT_NON_BOUNDARY: not is_boundary,
        }[what]
        return then(at) if fits else None

    def _branch(self, what: Any, at: int, then: Next) -> int | None:
        for each in what[1]:
            if (end := self._run(list(each), at, then)) is not None:
                return end
        return None

    def _subpattern(self, what: Any, at: int, then: Next) -> int | None:
        group, _, _, nodes = what

        def close(end: int) -> int | None:
            before = self.groups.get(group)
            self.groups[group] = at, end
            found = then(end)
            if found is None and before is not None:
                self.groups[group] = before
            return found

        return self._run(list(nodes), at, then if group is None else close)

    def _atomic_group(self, what: Any, at: int, then: Next) -> int | None:
        end = self._run(list(what), at, lambda end: end)
        return None if end is None else then(end)

    def _groupref(self, what: Any, at: int, then: Next) -> int | None:
        start, end = self.groups[what]
        self.steps += end - start
        return then(at + end - start) if self.text.startswith(self.text[start:end], at) else None

    def _assert(self, what: Any, at: int, then: Next) -> int | None:
        return then(at) if self._looks(what, at) else None

    def _assert_not(self, what: Any, at: int, then: Next) -> int | None:
        return None if self._looks(what, at) else then(at)

    def _looks(self, what: Any, at: int) -> bool:
        direction, nodes = what
        start = at if direction > 0 else at - nodes.getwidth()[0]
        return start >= 0 and self._run(list(nodes), start, lambda end: end) is not None

    def _max_repeat(self, what: Any, at: int, then: Next) -> int | None:
        least, most, nodes = what
        if (single := self._single(nodes)) is not None:
            count = self._count(single, at, most)
            for each in range(count, least - 1, -1):
                self.steps += 1
                if (end := then(at + each)) is not None:
                    return end
            return None

        def again(done: int, start: int) -> int | None:
            if done < most:
                end = self._run(
                    list(nodes), start, lambda end: None if end == start and done >= least else again(done + 1, end)
                )
                if end is not None:
                    return end
            return then(start) if done >= least else None

        return again(0, at)

    def _min_repeat(self, what: Any, at: int, then: Next) -> int | None:
        least, most, nodes = what

        def again(done: int, start: int) -> int | None:
            while True:
                if done >= least and (end := then(start)) is not None:
                    return end
                if done >= most or (end := self._run(list(nodes), start, lambda end: end)) is None or end == start:
                    return None
                done, start = done + 1, end

        return again(0, at)

    def _possessive_repeat(self, what: Any, at: int, then: Next) -> int | None:
        least, most, nodes = what
        done = 0
        while done < most:
            end = self._run(list(nodes), at, lambda end: end)
            if end is None or (end == at and done >= least):
                break
            at, done = end, done + 1
        return then(at) if done >= least else None

    @staticmethod
    def _single(nodes: Any) -> tuple[Any, Any] | None:
        kinds = {code.LITERAL, code.NOT_LITERAL, code.IN, code.ANY}
        return nodes[0] if len(nodes) == 1 and nodes[0][0] in kinds else None

    def _count(self, single: tuple[Any, Any], at: int, most: Any) -> int:
        count = 0
        while count < most and self._is_one(*single, at + count):
            count += 1
        return count


_SAMPLES = "aA0 _-.\"'\\<>[]{}()=:;,&@%$/#?+E\n\t\0ñÑ\u200b\u2028\ufffd\udc80\ud800"


def pieces(pattern: Counting) -> list[str]:
    """Return what texts against the pattern are made of: its literals, and a member of each of its classes."""
    found: dict[str, None] = {}
    _collect(pattern, pattern.tree, found)
    return list(found)


def _collect(pattern: Counting, nodes: Any, found: dict[str, None]) -> None:
    run = ""
    for kind, what in nodes:
        if kind is code.LITERAL:
            run += chr(what)
            continue
        if run:
            found.setdefault(run)
            run = ""
        if kind in {code.IN, code.NOT_LITERAL, code.ANY}:
            for sample in _SAMPLES:
                pattern.text = sample
                if pattern._is_one(kind, what, 0):
                    found.setdefault(sample)
                    break
        elif kind is code.BRANCH:
            for each in what[1]:
                _collect(pattern, each, found)
        elif kind in {code.SUBPATTERN, code.ASSERT, code.ASSERT_NOT}:
            _collect(pattern, what[-1], found)
        elif kind is code.ATOMIC_GROUP:
            _collect(pattern, what, found)
        elif kind in {code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT}:
            _collect(pattern, what[2], found)
    if run:
        found.setdefault(run)
