"""Texts for people stand in one place, each with a code and named parameters."""

from __future__ import annotations

import ast
import pickle
import re
import string
from collections import Counter
from collections.abc import Iterator
from copy import copy, deepcopy
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import jinja2
import jinja2.nodes
import pytest

import facturaonline_async
from facturaonline_async import InvalidInputError
from facturaonline_async._messages import Message, code_of, english, message
from facturaonline_async._messages.plural import Plural
from facturaonline_async._messages.value_text import ValueText
from facturaonline_async.provision import PlanProblem, State
from facturaonline_async.provision._journal.progress import STATES

PACKAGE = Path(facturaonline_async.__file__).parent
TEXTS = english.all_texts()
AREAS = sorted(module.name for module in iter_modules(english.__path__))

#: Modules whose texts are not in ``_messages``, by the start of their path.
ELSEWHERE = {
    "_messages",
}

#: Starts of codes that are made from another name: "remedy.expired" of the finding "expired", "findings.file_is_key" of
#: the `FileKind` "key".
COMPOSED = (
    *("remedy.", "findings.file_is_", "plan.kind_", "plan.read_"),
    *("cli.state_", "cli.kind_", "cli.action_", "cli.environment_"),
    *("doctor.label_", "doctor.state_"),
    *("cli.bulk_to_", "cli.bulk_already_", "cli.bulk_question_", "cli.bulk_done_"),
)

#: Errors that the library catches itself, and errors of Python that only a mistake in this package raises or whose
#: wording is Python's own.
INTERNAL = {"DerError", "UnreadableSubjectError", "WrongPasswordError", "AttributeError", "TypeError"}

#: Calls whose texts in place are the command's help, which typer reads.
HELP = {"Option", "Argument", "Typer", "_option", "command_group", "_add", "_make_create"}

#: Starts of texts in place that a program reads (a server, a shell, a browser, typer), and of names in the
#: example plan.
FOR_PROGRAMS = (
    *("HEAD ", "export ", "facturaonline", "  facturaonline", "<meta "),
    *("Examples:\n", "Empresa de Ejemplo"),
)


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield each call in the package, with the file's path."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield path.relative_to(PACKAGE).as_posix(), node


def name_of(call: ast.Call) -> str:
    return (
        call.func.id
        if isinstance(call.func, ast.Name)
        else call.func.attr
        if isinstance(call.func, ast.Attribute)
        else ""
    )


def codes_of(call: ast.Call) -> list[str]:
    """Return the codes in a call of `message`, such as both of ``message("a.b" if x else "a.c")``."""
    texts = [each.value for each in ast.walk(call.args[0]) if isinstance(each, ast.Constant)]
    return [
        text for text in texts if isinstance(text, str) and re.fullmatch(r"[\w.]*\w", text) and text not in COMPOSED
    ]


def placeholders(template: str | Plural | ValueText) -> list[set[str]]:
    texts = [template] if isinstance(template, str) else template
    return [{name for _, name, _, _ in string.Formatter().parse(text) if name is not None} for text in texts]


def is_text(node: ast.expr) -> bool:
    """Return whether an expression is a text of at least two words that is written in place."""
    if isinstance(node, ast.JoinedStr):
        return True
    if isinstance(node, ast.BinOp):
        return is_text(node.left) or is_text(node.right)
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value


def is_sentence(node: ast.AST) -> bool:
    """Return whether a node is a text in place with a word and a blank."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    elif isinstance(node, ast.JoinedStr):
        text = "".join(each.value if isinstance(each, ast.Constant) else "{}" for each in node.values)  # type: ignore[misc]
    else:
        return False
    return " " in text and re.search("[a-z]{2}", text) is not None and not text.startswith(FOR_PROGRAMS)


def sentences(node: ast.AST) -> Iterator[int]:
    """Yield the line of each text in place, without docstrings, help and the codes of messages."""
    if is_sentence(node):
        yield node.lineno  # type: ignore[attr-defined]
    for child in ast.iter_child_nodes(node):
        is_docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        is_help = isinstance(child, ast.Call) and name_of(child) in HELP
        is_part = isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)
        is_format = isinstance(node, ast.FormattedValue) and child is node.format_spec
        if not (is_docstring or is_help or is_part or is_format):
            yield from sentences(child)


def used_by_templates() -> Iterator[tuple[str, str, set[str]]]:
    """Yield each text of the report page: its place, its code and the names of its parameters."""
    for path in sorted(PACKAGE.rglob("templates/*.html")):
        for call in jinja2.Environment(autoescape=True).parse(path.read_text("utf-8")).find_all(jinja2.nodes.Call):
            if isinstance(call.node, jinja2.nodes.Name) and call.node.name == "text":
                [code] = call.args
                assert isinstance(code, jinja2.nodes.Const)
                yield f"{path.name}:{call.lineno}", code.value, {each.key for each in call.kwargs}


MESSAGES = [(path, call) for path, call in calls() if name_of(call) == "message"]
TEMPLATES = list(used_by_templates())


@pytest.mark.parametrize("area", AREAS)
def test_the_codes_of_an_area_begin_with_its_name_and_are_unique(area: str) -> None:
    texts = import_module(f"facturaonline_async._messages.english.{area}").TEXTS

    assert {code for code in texts if code.split(".")[0] not in {area, "remedy"}} == set()
    assert {code for code in texts if english.TEXTS[code] is not texts[code]} == set()


def test_every_message_has_a_text_with_the_same_parameters() -> None:
    wrong = []
    in_code = (
        (f"{path}:{call.lineno}", code, {str(each.arg) for each in call.keywords})
        for path, call in MESSAGES
        for code in codes_of(call)
    )
    for place, code, given in (*in_code, *TEMPLATES):
        used = placeholders(TEXTS[code]) if code in TEXTS else []
        template = TEXTS.get(code)
        counted = {"count"} if isinstance(template, Plural) else set()
        if isinstance(template, ValueText):
            cell, field = used
            used = [field] if cell < field else []
        if not used or any(given - counted != names - counted or not names <= given for names in used):
            wrong.append(f"{place}: {code}")

    assert wrong == []


def test_every_text_is_used() -> None:
    used = {code for _, call in MESSAGES for code in codes_of(call)} | {code for _, code, _ in TEMPLATES}

    assert {code for code in TEXTS if not code.startswith(COMPOSED)} - used == set()


def test_every_state_and_kind_of_the_command_has_a_text() -> None:
    names = {f"cli.state_{state}" for state in (*STATES, *State)} | {
        "cli.kind_csd",
        "cli.kind_fiel",
        "cli.kind_unknown",
    }

    assert names == {code for code in TEXTS if code.startswith(("cli.state_", "cli.kind_"))}


def test_every_text_for_people_is_a_message() -> None:
    """Errors, findings, plan problems and the command's sentences are written nowhere else."""
    places: dict[str, tuple[int, str]] = {
        "Finding": (2, "seen"),
        "PlanProblem": (9, "reason"),
        "add_note": (0, "note"),
        "error": (1, "reason"),  # of a raw response
        "unreadable": (0, "reason"),
    }
    elsewhere: Counter[str] = Counter()
    for path, call in calls():
        name = name_of(call)
        place, keyword = places.get(name, (0, ""))
        is_checked = (name.endswith("Error") or name in places) and name not in INTERNAL
        if not is_checked or path.startswith(tuple(ELSEWHERE)):
            continue
        given = [*call.args[place : place + 1], *(each.value for each in call.keywords if each.arg == keyword)]
        if any(map(is_text, given)):
            elsewhere[f"{path}:{call.lineno}"] += 1

    assert sorted(elsewhere) == []


def test_the_command_writes_no_sentence_in_place() -> None:
    """What it prints is a message; only help texts and lines for programs stand in its modules."""
    found = [
        f"{path.name}:{line}"
        for path in sorted((PACKAGE / "_cli").glob("*.py"))
        for line in sentences(ast.parse(path.read_text("utf-8")))
    ]

    assert found == []


def test_the_report_page_writes_no_word_in_place() -> None:
    written = []
    for path in sorted(PACKAGE.rglob("templates/*.html")):
        text = re.sub(r"\{[%{#].*?[}%#]\}", "", path.read_text("utf-8"), flags=re.DOTALL)
        attributes = re.findall(r'(?:aria-label|placeholder|title|alt)="([^"]+)"', text)
        written += [each for each in (*attributes, *re.findall(r">([^<>]+)<", text)) if re.search("[A-Za-z]", each)]

    assert written == []


def test_a_message_is_its_english_text_with_its_code_and_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    left = Plural("{count} row is left in {file}.", "{count} rows are left in {file}.")
    monkeypatch.setitem(english.TEXTS, "run.left", left)
    monkeypatch.setitem(english.TEXTS, "run.again", "Run it again.")
    one, many = message("run.left", count=1, file="a.csv"), message("run.left", count=2, file="a.csv")
    both = many.then(message("run.again"))

    assert (one, many) == ("1 row is left in a.csv.", "2 rows are left in a.csv.")
    assert both == "2 rows are left in a.csv. Run it again."
    assert (both.code, both.parameters) == ("run.left", {"count": 2, "file": "a.csv"})
    assert [each.code for each in both.following] == ["run.again"]
    again = pickle.loads(pickle.dumps(both))
    assert (again, again.code, again.following[0].code) == (both, "run.left", "run.again")


def test_a_fault_names_its_field_and_no_cell() -> None:
    cell, field = message("values.required", name=""), message("values.required", name="rfc")

    assert (cell, field) == ("is required, and empty", "rfc is required, and empty.")
    assert (cell.code, field.code) == ("values.required", "values.required")


def test_messages_as_a_parameter_are_joined_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(english.TEXTS, "plan.changed", "was read {changes}")
    monkeypatch.setitem(english.TEXTS, "plan.trimmed", "without blanks")
    changes = (message("plan.trimmed"), message("plan.trimmed"))

    assert message("plan.changed", changes=changes) == "was read without blanks, without blanks"


def test_errors_and_plan_problems_have_the_code_of_their_text() -> None:
    reason = message("values.required", name="")

    assert isinstance(reason, Message)
    assert InvalidInputError(reason).code == "values.required"
    assert PlanProblem(row=2, column="rfc", reason=reason).code == "values.required"
    assert (InvalidInputError("own text").code, PlanProblem(row=2, column="rfc", reason="own").code) == ("", "")


def test_a_message_without_a_code_is_a_plain_text() -> None:
    text = Message("x")

    assert (text, text.code, code_of(text), text.parameters, text.following) == ("x", "", "", {}, ())
    assert pickle.loads(pickle.dumps(text)) == "x"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_copy_of_a_message_has_its_code_and_parameters(protocol: int) -> None:
    whole = message("values.required", name="rfc").then(message("run.interrupted"))
    copies = [pickle.loads(pickle.dumps(whole, protocol)), copy(whole), deepcopy(whole)]

    assert [(each, each.code, each.parameters, each.following) for each in copies] == 3 * [
        (whole, "values.required", {"name": "rfc"}, (message("run.interrupted"),))
    ]
    assert [type(each) for each in copies] == 3 * [Message]


def test_str_of_a_message_and_of_an_error_are_exact_str() -> None:
    text = message("values.required", name="rfc")

    assert (type(str(text)), type(str(InvalidInputError(text)))) == (str, str)
