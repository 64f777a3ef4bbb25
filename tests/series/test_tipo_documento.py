"""TipoDocumento: no serie is created for a misspelt kind of document."""

from __future__ import annotations

import json
import logging
import pickle

import pytest
from hypothesis import given, strategies as st

from facturaonline_async import FacturaOnline, InvalidInputError, TipoDocumento
from facturaonline_async.series._tipo_documento import TIPOS_DOCUMENTO, misspelling
from facturaonline_async.testing import Emulator, Fault

MAIN = "607a062eae2bb"

VARIANTS = {
    "Factura": "factura",
    "FACTURA": "factura",
    "fac\u200btura": "factura",
    "\uff46actura": "factura",
    "nota cargo": "nota_cargo",
    "nota-crédito": "nota_credito",
    "NotaCredito": "nota_credito",
    "nota__credito": "nota_credito",
    "Retención": "retencion",
    "carta porte ingreso": "carta_porte_ingreso",
}
NEAR = {
    "facturas": "factura",
    "Facturas": "factura",
    "fatcura": "factura",
    "fctura": "factura",
    "pagos": "pago",
    "donativo": "donativos",
    "retenciones": "retencion",
    "nota_de_credito": "nota_credito",
    "Nota de cargo": "nota_cargo",
}
UNLIKE = ["nomina", "nota", "carta_porte_traslado", "pagare_x", "papo_ab", "f", "recibo", "ingreso", "x" * 1_000_000]


@pytest.mark.parametrize("tipo", sorted(TIPOS_DOCUMENTO))
def test_a_documented_kind_is_no_misspelling(tipo: str) -> None:
    assert (misspelling(tipo), misspelling(f" {tipo} "), misspelling(TipoDocumento(tipo))) == (None, None, None)


@pytest.mark.parametrize(("tipo", "meant"), VARIANTS.items())
def test_other_case_accents_blanks_and_hyphens_are_a_certain_misspelling(tipo: str, meant: str) -> None:
    assert misspelling(tipo) == misspelling(TipoDocumento.other(tipo)) == (meant, True)


@pytest.mark.parametrize(("tipo", "meant"), NEAR.items())
def test_one_or_two_other_characters_are_a_near_miss_unless_marked_by_other(tipo: str, meant: str) -> None:
    assert (misspelling(tipo), misspelling(TipoDocumento.other(tipo))) == ((meant, False), None)


@pytest.mark.parametrize("tipo", UNLIKE)
def test_a_kind_unlike_the_documented_ones_passes(tipo: str) -> None:
    assert misspelling(tipo) is None


@given(st.sampled_from(sorted(TIPOS_DOCUMENTO)), st.data())
def test_an_added_missing_or_swapped_character_is_found(tipo: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(tipo) - 2))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz"))
    typed = data.draw(
        st.sampled_from(
            [
                tipo[:place] + letter + tipo[place:],
                tipo[:place] + tipo[place + 1 :],
                tipo[:place] + letter + tipo[place + 1 :],
                tipo[:place] + tipo[place + 1] + tipo[place] + tipo[place + 2 :],
            ]
        )
    )
    found = misspelling(typed)
    assert typed in TIPOS_DOCUMENTO or (found is not None and found.meant == tipo)


def test_a_member_equals_its_text_on_the_wire_and_in_a_pickle() -> None:
    meant = TipoDocumento.other("facturas")
    assert json.dumps([TipoDocumento.PAGO, meant]) == '["pago", "facturas"]'
    assert (pickle.loads(pickle.dumps(meant)), misspelling(pickle.loads(pickle.dumps(meant)))) == ("facturas", None)


@pytest.mark.parametrize("verb", ["create", "ensure"])
@pytest.mark.parametrize("tipo", ["Factura", TipoDocumento.other("Factura"), "nota-crédito"])
async def test_a_case_variant_is_refused_and_nothing_is_created(
    client: FacturaOnline, emulator: Emulator, verb: str, tipo: str
) -> None:
    with pytest.raises(InvalidInputError, match=r"did you mean (factura|nota_credito)\?") as refused:
        await getattr(client.series, verb)(letra="F", tipo_documento=tipo)
    assert (refused.value.field, emulator.count("series.create")) == ("tipo_documento", 0)


async def test_a_case_variant_is_refused_if_the_list_cannot_be_read(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.inject(Fault.status(422), endpoint="series.list")
    with pytest.raises(InvalidInputError, match="did you mean factura"):
        await client.series.create(letra="F", tipo_documento="Factura")
    assert emulator.count("series.create") == 0


@pytest.mark.parametrize("verb", ["create", "ensure"])
async def test_a_kind_that_the_account_has_passes(client: FacturaOnline, emulator: Emulator, verb: str) -> None:
    emulator.add_serie(MAIN, letra="F", tipo_documento="Factura")
    await getattr(client.series, verb)(letra="G", tipo_documento="Factura")
    assert emulator.count("series.create") == 1


async def test_find_and_ensure_return_an_existing_serie_with_any_spelling(
    client: FacturaOnline, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    uid = emulator.add_serie(MAIN, letra="F", tipo_documento="facturas")
    found = await client.series.find(letra="F", tipo_documento="facturas")
    ensured = await client.series.ensure(letra="F", tipo_documento="facturas")
    assert (found and found.uid, ensured.uid, emulator.count("series.create"), caplog.messages) == (uid, uid, 0, [])


@pytest.mark.parametrize(
    ("tipo", "warnings"),
    [
        ("facturas", ["tipo_documento 'facturas' is not documented, and is sent unchanged: did you mean factura?"]),
        (TipoDocumento.other("facturas"), []),
        ("nomina", []),
        (TipoDocumento.FACTURA, []),
    ],
)
async def test_a_near_miss_is_sent_with_a_warning_unless_marked_by_other(
    client: FacturaOnline, emulator: Emulator, caplog: pytest.LogCaptureFixture, tipo: str, warnings: list[str]
) -> None:
    with caplog.at_level(logging.WARNING, "facturaonline_async"):
        await client.series.create(letra="F", tipo_documento=tipo)
        await client.series.ensure(letra="G", tipo_documento=tipo)
    sent = [row["tipo_documento"] for row in emulator.state["series"].values()]
    assert (caplog.messages, sent) == (warnings * 2, [tipo, tipo])
