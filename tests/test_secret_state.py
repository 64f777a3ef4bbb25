"""No serialiser and no look at an object's state gets a secret out of a public value."""

from __future__ import annotations

import copy
import copyreg
import dataclasses
import importlib
import inspect
import io
import json
import pickle
import pprint
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import cattrs
import pytest
from attrs import evolve
from rich.pretty import pretty_repr

import facturaonline_async
from facturaonline_async import (
    SANDBOX,
    AttemptEvent,
    CambiosEmpresa,
    Config,
    CorreoSmtp,
    Credentials,
    Empresa,
    FacturaOnline,
    HoldEvent,
    NuevaEmpresa,
    Rate,
    RetryPolicy,
    Secret,
    Sello,
    Serie,
    SessionManager,
    SessionStats,
    bulk,
    provision,
    sello,
)
from facturaonline_async.config import SecretBytes
from facturaonline_async.empresas import _wire as wire
from facturaonline_async.provision import ExistingRow, ParsedPlan, Plan, PlanSerie, ValueRow
from tests.plans import ROW as CELLS, written
from tests.test_secrets import API_KEY, CAMBIOS, CORREO, CSD, FORMS, KEY, KEYS, NUEVA, SECRET_KEY, SECRETS

READ = wire.read_empresa(dict.fromkeys(wire._READ_RESPONSE_NAMES, "1") | {"api_key": API_KEY, "secret_key": SECRET_KEY})
MADE = Empresa(uid="1", api_key=Secret(API_KEY), secret_key=Secret(SECRET_KEY))
ROW = ValueRow(nueva=NUEVA, series=(PlanSerie(letra="F", tipo_documento="factura"),))


@dataclasses.dataclass
class Theirs:
    """What a program keeps secrets in."""

    password: Secret
    key: bytes


def parsed() -> ParsedPlan:
    """Return a plan with 40 good rows and a faulty one."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [CELLS | {"rfc": f"EKU900317{number:03}", "password": CSD} for number in range(40)]
        return Plan.parse(written(Path(folder), [*rows, CELLS | {"codpos": "x", "password": CSD}]))


def from_file() -> Plan:
    return Plan.of(evolve(parsed(), problems=()))


VALUES: dict[type, list[Any]] = {
    Secret: [Secret(API_KEY)],
    SecretBytes: [SecretBytes(KEY)],
    Credentials: [KEYS],
    NuevaEmpresa: [NUEVA],
    CambiosEmpresa: [CAMBIOS],
    CorreoSmtp: [CORREO],
    Sello: [NUEVA.csd],
    Empresa: [MADE, READ],
    Config: [Config(base_url=SANDBOX, proxy=f"http://user:{CSD}@127.0.0.1:3128")],
    FacturaOnline: [FacturaOnline(SessionManager(Config(base_url=SANDBOX)), KEYS)],
    Plan: [Plan.from_values([ROW]), from_file()],
    ValueRow: [ROW, *from_file().rows[:1], from_file().rows],
    ExistingRow: [ExistingRow(rfc=NUEVA.rfc, cambios=CAMBIOS)],
    ParsedPlan: [parsed(), parsed().faulty[0]],
    Theirs: [Theirs(Secret(API_KEY), SecretBytes(KEY))],
}
#: Public values that hold nothing secret: they are made of what the API or a check says.
WITHOUT = {
    *(AttemptEvent, HoldEvent, SessionStats, Rate, RetryPolicy, Serie, PlanSerie, bulk.Outcome),
    *(provision.PlanProblem, provision.RunReport, provision.RowCheck, provision.RowOutcome, provision.SerieOutcome),
    *(provision.Preview, provision.PreviewRow, provision.PreviewSerie, provision.AttributeChange),
    *(provision.ProgressSnapshot, provision.Reason, provision.Throughput),
    *(provision.Step, provision.StepEvent, sello.Certificado, sello.Finding, sello.CheckReport),
}
EACH = [pytest.param(value, id=f"{kind.__name__}-{n}") for kind, made in VALUES.items() for n, value in enumerate(made)]


def theirs(name: str) -> Callable[[Any], str]:
    """Return ``dumps`` of another library."""
    return lambda value: _text(importlib.import_module(name).dumps(value))


def _text(written: str | bytes) -> str:
    return written if isinstance(written, str) else written.decode("latin-1")


def _protocols(value: Any) -> str:
    return "".join(_text(_attempt(pickle.dumps, value, each)) for each in range(pickle.HIGHEST_PROTOCOL + 1))


def _python_pickle(value: Any) -> str:
    file = io.BytesIO()
    pickle._Pickler(file).dump(value)
    return _text(file.getvalue())


def _slots(value: Any) -> str:
    return repr({name: getattr(value, name, None) for name in copyreg._slotnames(type(value))})  # type: ignore[attr-defined]


def _attempt(write: Callable[..., Any], *arguments: Any) -> Any:
    """Return what was written. What is refused is safe, unless the refusal shows it."""
    try:
        return write(*arguments)
    except Exception as problem:  # noqa: BLE001  # any refusal will do
        return str(problem)


SERIALISERS: dict[str, Callable[[Any], str]] = {
    "pickle": _protocols,
    "pickle in Python": _python_pickle,
    "copyreg, protocol 0": lambda value: repr(copyreg._reduce_ex(value, 0)),  # type: ignore[attr-defined]
    "object.__reduce_ex__": lambda value: repr(object.__reduce_ex__(value, 0)),
    "object.__reduce_ex__, protocol 2": lambda value: repr(object.__reduce_ex__(value, 2)),
    "__reduce__": lambda value: repr(value.__reduce__()),
    "__getstate__": lambda value: repr(value.__getstate__()),
    "__getnewargs__": lambda value: repr(value.__getnewargs__()),
    "slots": _slots,
    "vars": lambda value: repr(vars(value)),
    "copies": lambda value: repr((copy.copy(value), copy.deepcopy(value))),
    "json of vars": lambda value: json.dumps(value, default=vars),
    "json of texts": lambda value: json.dumps(value, default=str),
    "json of slots": lambda value: json.dumps(value, default=_slots),
    "attrs.asdict": lambda value: repr((attrs.asdict(value), attrs.astuple(value))),
    "dataclasses.asdict": lambda value: repr(dataclasses.asdict(value)),
    "cattrs": lambda value: repr(cattrs.Converter().unstructure(value)),
    "pprint": pprint.pformat,
    "rich": lambda value: pretty_repr(value, max_string=20, expand_all=True),
    "jsonpickle": lambda value: str(importlib.import_module("jsonpickle").encode(value)),
    "jsonpickle, as data": lambda value: str(importlib.import_module("jsonpickle").encode(value, unpicklable=False)),
    "dill": theirs("dill"),
    "cloudpickle": theirs("cloudpickle"),
}


@pytest.mark.parametrize("name", SERIALISERS)
@pytest.mark.parametrize("value", EACH)
def test_no_serialiser_writes_a_secret(value: Any, name: str) -> None:
    if name in {"jsonpickle", "dill", "cloudpickle"}:
        pytest.importorskip(name)
    written = str(_attempt(SERIALISERS[name], value))
    assert [secret for secret in SECRETS if secret in written or secret[:20] in written] == []


@pytest.mark.parametrize("value", EACH)
def test_no_attribute_holds_the_text_of_a_secret(value: Any) -> None:
    found = {path: each for path, each in members(value) if holds_a_secret(each)}
    assert found == {}


def members(value: object, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, object]]:
    """Give each text and each bytes that ``inspect.getmembers`` and containers lead to, through our own objects."""
    seen = set() if seen is None else seen
    if id(value) in seen or len(path) > 400:
        return
    seen.add(id(value))
    if type(value) in {str, bytes, bytearray}:
        yield path, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from members(key, f"{path}<key>", seen)
            yield from members(each, f"{path}[{key!r}]", seen)
    elif isinstance(value, (list, tuple, set, frozenset)) and not hasattr(value, "_fields"):
        for place, each in enumerate(value):
            yield from members(each, f"{path}[{place}]", seen)
    elif inspect.ismethod(value):
        yield from members(value.__self__, path, seen)
    elif type(value).__module__.startswith(("facturaonline_async", "tests")):
        for name, each in _getmembers(value):
            if not name.startswith("__") or name == "__dict__":
                yield from members(each, f"{path}.{name}", seen)


def _getmembers(value: object) -> Iterable[tuple[str, object]]:
    try:
        return inspect.getmembers(value)
    except Exception:  # noqa: BLE001  # a property that raises, such as Empresa.credentials without keys
        return [(name, getattr(value, name)) for name in dir(value) if name != "credentials"]


def holds_a_secret(each: object) -> bool:
    text = each if isinstance(each, str) else bytes(each).decode("latin-1")  # type: ignore[call-overload]
    return any(secret in text for secret in SECRETS)


def test_every_public_value_class_is_tested_here() -> None:
    modules = [facturaonline_async, provision, sello, bulk]
    public = {getattr(module, name) for module in modules for name in module.__all__}
    values = {each for each in public if isinstance(each, type) and attrs.has(each)}
    services = {each for each in values if each.__name__.endswith("Service") or each is provision.Run}
    assert values - services - WITHOUT - set(VALUES) == set()


def test_the_search_finds_a_secret_in_a_plain_attribute() -> None:
    class Open:
        __slots__ = ("_key",)

    made = Open()
    made._key = API_KEY  # type: ignore[attr-defined]
    assert [path for path, each in members([{"x": made}]) if holds_a_secret(each)] == ["[0]['x']._key"]


def test_a_slice_of_secret_bytes_is_masked_too() -> None:
    value = SecretBytes(KEY)
    assert (repr(value[:9]), value[:9] == KEY[:9], value[0], FORMS[0] in repr(value)) == (
        "<9 secret bytes>",
        True,
        KEY[0],
        False,
    )
