"""The events that a session publishes to a function and to the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress

import pytest
from attrs import evolve

from facturaonline_async import (
    AttemptEvent,
    Event,
    FacturaOnlineError,
    HoldEvent,
    InvalidInputError,
    NotFoundError,
    RateLimitError,
    RedactingFilter,
    connect,
)
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import QUICK

pytestmark = pytest.mark.virtual_clock

MAIN = "607a062eae2bb"
KEY = "JDJ5JDEwJHNIQ01mNTFtRHFkTk9oTkZmT2oyVmVFLlB4"


async def events_of(emulator: Emulator, uid: str = "7", deadline: float = 0.5) -> list[Event]:
    """Get a serie, and return the events of that call."""
    events: list[Event] = []
    config = evolve(QUICK, on_event=events.append, deadline=deadline)
    async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
        with suppress(FacturaOnlineError):
            await client.series.get(uid)
    return events


async def test_each_attempt_is_an_event_with_its_outcome_and_the_next_pause() -> None:
    async with Emulator(latency=0.01) as emulator:
        uid = emulator.add_serie(MAIN, letra="F", tipo_documento="factura")
        emulator.inject(Fault.status(500), endpoint="series.get")
        emulator.inject(Fault.drop_before_commit(), endpoint="series.get")
        first, second, third = await events_of(emulator, str(uid))
    assert isinstance(first, AttemptEvent)
    assert isinstance(second, AttemptEvent)
    assert isinstance(third, AttemptEvent)
    assert [(each.attempt, each.outcome, each.status) for each in (first, second, third)] == [
        (1, "ServerError", 500),
        (2, "OutcomeUnknownError", None),
        (3, "ok", 200),
    ]
    assert [each.pause is None for each in (first, second, third)] == [False, False, True]
    assert {(each.endpoint, each.uid) for each in (first, second, third)} == {("series.get", str(uid))}
    assert [(round(each.took, 6), each.waited) for each in (first, second, third)] == [(0.01, 0.0)] * 3


async def test_the_last_attempt_has_no_pause(emulator: Emulator) -> None:
    (event,) = await events_of(emulator)
    assert isinstance(event, AttemptEvent)
    assert (event.outcome, event.pause) == (NotFoundError.__name__, None)


async def test_a_hold_is_one_event(emulator: Emulator) -> None:
    emulator.inject(Fault.throttle(1), endpoint="series.get")
    events = await events_of(emulator, deadline=0.1)
    assert [type(event) for event in events] == [AttemptEvent, HoldEvent]
    assert isinstance(events[1], HoldEvent)
    assert (events[1].endpoint, events[1].seconds) == ("series.get", 1.0)


async def test_exceptions_of_a_listener_are_logged_and_ignored(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Event) -> None:
        raise ValueError(KEY)

    config = evolve(QUICK, on_event=broken)
    async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
        assert await client.series.list() == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "on_event raised ValueError"
    ]


def test_a_listener_must_be_a_function() -> None:
    with pytest.raises(InvalidInputError, match="on_event must be a function"):
        evolve(QUICK, on_event=3)  # type: ignore[arg-type]


async def test_the_log_has_the_same_events_at_matching_levels(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "facturaonline_async")
    emulator.inject(Fault.throttle(), endpoint="series.list")
    async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
        await client.series.list()
    ours = [record for record in caplog.records if record.name == "facturaonline_async"]
    assert [
        (record.levelname, record.getMessage().split(" after ")[0]) for record in ours if "held" not in record.msg
    ] == [
        ("INFO", "series.list: attempt 1: RateLimitError (HTTP 429)"),
        ("DEBUG", "series.list: attempt 2: ok (HTTP 200)"),
    ]
    assert [record.levelname for record in ours if "held" in record.msg] == ["WARNING"]
    assert RateLimitError.__name__ in ours[0].getMessage()


# ── The last net ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def handler() -> Iterator[tuple[logging.Logger, list[str]]]:
    """Return another library's logger, whose handler has the filter, and the lines that it wrote."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    logger = logging.getLogger("another.library")
    logger.propagate = False
    lined = Lines()
    lined.addFilter(RedactingFilter())
    logger.addHandler(lined)
    yield logger, lines
    logger.removeHandler(lined)


@pytest.mark.parametrize(
    "text",
    [
        f"F-Api-Key: {KEY}",
        f"headers={{'F-Secret-Key': '{KEY}'}}",
        f"<CIMultiDict('F-API-KEY': 'other-{KEY[:9]}')>",
        'sent {"password": "clave-secreta", "rfc": "EKU9003173C9"}',
        "url?password=clave-secreta&x=1",
        "acco_psswrd_cer=clave-secreta",
        "fielpassword='clave-secreta'",
        "https://example.mx/?url=x&secret_key=clave-secreta",
        "X-Secret-Key=clave-secreta",
        r'"{\"password\": \"clave-secreta\", \"rfc\": \"EKU9003173C9\"}"',
        "contraseña: clave-secreta",
        "$2y$10$sHCMf51mDqdNOhNFfOj2VeE.PxYlSK1s3jcGPuHxiTwRBoqDHlpBK",
        KEY,
    ],
)
def test_the_filter_masks_keys_and_passwords(handler: tuple[logging.Logger, list[str]], text: str) -> None:
    logger, lines = handler
    logger.warning("%s", text)
    logger.warning(text.replace("%", "%%"))
    logger.error("it failed", exc_info=ValueError(text))
    assert len(lines) == 3
    for line in lines:
        assert "***" in line
        assert not [secret for secret in (KEY, KEY[:9], "clave-secreta", "sHCMf51mDq") if secret in line]


def test_the_filter_leaves_other_texts_unchanged(handler: tuple[logging.Logger, list[str]]) -> None:
    logger, lines = handler
    logger.warning("%d series of %s, passwords unchanged", 3, "EKU9003173C9")
    assert lines == ["3 series of EKU9003173C9, passwords unchanged"]
