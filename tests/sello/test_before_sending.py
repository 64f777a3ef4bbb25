"""Errors are refused before any request; data with warnings is logged and sent."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from attrs import evolve

from facturaonline_async import (
    CambiosEmpresa,
    FacturaOnline,
    InvalidInputError,
    NotFoundError,
    NuevaEmpresa,
    Sello,
    connect,
)
from facturaonline_async.provision import Plan, validate
from facturaonline_async.sello import check
from facturaonline_async.testing import Emulator, make_sello
from tests.conftest import QUICK
from tests.plans import ROW, certify, written
from tests.sello.certificates import RFC, private_key

CHECKED = evolve(QUICK, check_sello=True)


def good(kind: str = "csd") -> Sello:
    return make_sello(RFC, kind=kind, private_key=private_key())  # type: ignore[arg-type]


def nueva(**more: object) -> NuevaEmpresa:
    given: dict[str, object] = {
        "razon_social": "ESCUELA KEMPER URGATE",
        "rfc": RFC,
        "codpos": "06500",
        "email": "a@example.com",
        "regimen": "601",
        "regimen_nomina": "601",
        "csd": good(),
    }
    return NuevaEmpresa(**(given | more))  # type: ignore[arg-type]


WAYS: dict[str, Callable[[FacturaOnline, Sello], Awaitable[object]]] = {
    "create": lambda client, csd: client.empresas.create(nueva(csd=csd)),
    "ensure": lambda client, csd: client.empresas.ensure(nueva(csd=csd)),
    "update": lambda client, csd: client.empresas.update("607a062eae2bb", CambiosEmpresa(csd=csd)),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_faulty_sello_is_refused_before_anything_is_sent(way: str, emulator: Emulator) -> None:
    swapped = Sello(good().key, good().cer, "12345678a")
    async with connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as client:
        with pytest.raises(InvalidInputError) as refused:
            await WAYS[way](client, swapped)
    error = refused.value
    assert ([each.code for each in error.findings], error.field, emulator.requests) == (["swapped"], "csd.cer", ())
    assert "Exchange them" in str(error)
    assert error.report.certificado.rfc == RFC
    assert pickle.loads(pickle.dumps(error)).report == error.report


@pytest.mark.parametrize("way", WAYS)
async def test_a_good_sello_is_sent(way: str, emulator: Emulator) -> None:
    async with connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as client:
        await WAYS[way](client, good())
    assert any(
        request.endpoint == f"empresas.{'update' if way == 'update' else 'create'}" for request in emulator.requests
    )


@pytest.mark.parametrize("way", WAYS)
async def test_the_check_can_be_switched_off(way: str, emulator: Emulator) -> None:
    async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
        await WAYS[way](client, Sello(b"cer", b"key", "x"))
    assert len(emulator.requests) > 0


async def test_all_errors_are_reported_at_once(emulator: Emulator) -> None:
    faulty = nueva(
        rfc="XIQB891116QE",
        codpos="650",
        regimen="General",
        curp="CURP",
        csd=good("fiel"),
        fiel=evolve(good("fiel"), password="otra"),
    )
    async with connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as client:
        with pytest.raises(InvalidInputError) as refused:
            await client.empresas.create(faulty)
    assert [(each.field, each.code) for each in refused.value.findings] == [
        ("rfc", "rfc_format"),
        ("curp", "curp_format"),
        ("codpos", "codpos_format"),
        ("regimen", "regimen_format"),
        ("csd.cer", "fiel_as_csd"),
        ("csd.cer", "rfc_mismatch"),
        ("fiel.password", "wrong_password"),
        ("fiel.cer", "rfc_mismatch"),
    ]
    assert emulator.requests == ()


async def test_mail_and_telephone_are_checked_alike_in_plans_and_values(emulator: Emulator, tmp_path: Path) -> None:
    wrong = {"email": "nobody", "mail_conta": "Ana <a@b.mx> x", "telefono": "555"}
    async with connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as client:
        with pytest.raises(InvalidInputError) as refused:
            await client.empresas.update(
                "607a062eae2bb",
                CambiosEmpresa(email=wrong["email"], mail_conta=wrong["mail_conta"], telefono=wrong["telefono"]),
            )
    certify(tmp_path, [ROW["rfc"]])
    files = {"cer": f"c/{ROW['rfc']}.cer", "key": f"c/{ROW['rfc']}.key"}
    faults = Plan.parse(written(tmp_path, [ROW | files | wrong])).problems
    with_phone = Plan.parse(written(tmp_path, [ROW | files | {"telefono": "555"}]))
    async with validate(with_phone) as rows:
        warnings = [warning.column async for row in rows for warning in row.warnings]

    found = [(each.field, each.is_error) for each in refused.value.findings]
    assert found == [("email", True), ("mail_conta", True), ("telefono", False)]
    assert [each.column for each in faults] == ["email", "mail_conta"]
    assert warnings == ["telefono"]
    assert emulator.requests == ()


async def test_an_update_is_checked_only_for_the_fields_it_sets(emulator: Emulator) -> None:
    async with connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as client:
        with pytest.raises(InvalidInputError, match="codpos"):
            await client.empresas.update("607a062eae2bb", CambiosEmpresa(codpos="1"))
        with pytest.raises(InvalidInputError, match="rfc_mismatch"):
            await client.empresas.update("607a062eae2bb", CambiosEmpresa(rfc="XIQB891116QE4", csd=good()))
        assert emulator.requests == ()
        await client.empresas.update("607a062eae2bb", CambiosEmpresa(curp="", calle="Centro"))


async def test_a_curp_may_have_small_letters_and_blanks(emulator: Emulator) -> None:
    """Like an RFC, it may be in lower case or have blanks around it."""
    written, curp = " pepj901010hjcrrn03\n", "PEPJ901010HJCRRN03"
    assert (nueva(curp=written).curp, CambiosEmpresa(curp=written).curp) == (curp, curp)
    assert (nueva().curp, CambiosEmpresa().curp, CambiosEmpresa(curp="").curp) == ("", None, "")
    for refused in (5, b"PEPJ901010HJCRRN03"):
        with pytest.raises(InvalidInputError, match="curp must be a text"):
            nueva(curp=refused)
        with pytest.raises(InvalidInputError, match="curp must be a text"):
            CambiosEmpresa(curp=refused)  # type: ignore[arg-type]
    async with connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as client:
        empresa = await client.empresas.create(nueva(curp=written))
        assert (await client.empresas.get(empresa.uid)).curp == curp


async def test_the_check_finds_a_password_that_create_refuses(emulator: Emulator) -> None:
    """The password has a control character."""
    tabbed = make_sello(RFC, private_key=private_key(), password="con\ttab")
    async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
        with pytest.raises(InvalidInputError, match="password"):
            await client.empresas.create(nueva(csd=tabbed))
    assert [each.code for each in check(tabbed).errors] == ["password_unsendable"]


async def test_data_with_warnings_is_logged_and_sent(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "facturaonline_async"):
        async with connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as client:
            await client.empresas.create(nueva(regimen="612"))
    assert [record.getMessage().rpartition(" ")[2] for record in caplog.records] == ["[regimen_person]"]
    assert len(emulator.requests) == 1


async def test_a_checked_sello_is_not_checked_again(emulator: Emulator) -> None:
    async with connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as client:
        empresa = await client.empresas.ensure(nueva(csd=Sello(b"cer", b"key", "x")), validate=False)
        assert (await client.empresas.get(empresa.uid)).rfc == RFC
        with pytest.raises(NotFoundError):
            await client.empresas.get("0")


async def test_no_secret_of_a_faulty_sello_shows(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    faulty = evolve(good(), password="contraseña-secreta")
    with caplog.at_level(logging.DEBUG):
        async with connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as client:
            with pytest.raises(InvalidInputError) as refused:
                await client.empresas.create(nueva(csd=faulty))
    error = refused.value
    shown = f"{error} {error!r} {error.findings} {error.report} {caplog.text}".encode() + pickle.dumps(error)
    assert b"secreta" not in shown
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames += [repr(value) for name, value in trace.tb_frame.f_locals.items() if name != "faulty"]
        trace = trace.tb_next
    assert [text for text in frames if "contraseña-secreta" in text] == []
