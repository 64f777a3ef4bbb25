"""Settings refuse unusable values, and secrets are masked everywhere."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback

import attrs
import cattrs
import pytest
from attrs import evolve
from hypothesis import given, strategies as st

from facturaonline_async import (
    FACTURA_COM_PRODUCTION,
    FACTURA_COM_SANDBOX,
    PRODUCTION,
    SANDBOX,
    Config,
    Credentials,
    InvalidInputError,
    Rate,
    RetryPolicy,
    Secret,
    Sello,
)
from facturaonline_async._endpoint_names import ENDPOINT_NAMES
from facturaonline_async._endpoints import ENDPOINTS
from facturaonline_async.config import SecretBytes

TEXT = "s3cr3t-Contraseña"


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        format,
        lambda secret: f"{secret}{secret!r}{secret!s:>30}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031  # as logging does it
        lambda secret: repr([secret, {"k": secret}]),
        lambda secret: repr(attrs.asdict(Credentials(api_key="k" * 5, secret_key="v" * 5))) + repr(secret),
        lambda secret: repr(cattrs.unstructure(secret)),
        lambda secret: repr(copy.deepcopy(secret)) + repr(copy.copy(secret)),
    ],
)
def test_a_secret_is_masked(show: object) -> None:
    shown = show(Secret(TEXT))  # type: ignore[operator]
    assert (TEXT in shown, "***" in shown) == (False, True)


def test_only_reveal_returns_the_text_of_a_secret() -> None:
    assert Secret(TEXT).reveal() == TEXT
    assert Secret(Secret(TEXT)).reveal() == TEXT


def test_a_secret_is_no_str_and_no_attrs_class() -> None:
    assert (isinstance(Secret(TEXT), str), attrs.has(Secret)) == (False, False)


def test_secrets_are_equal_when_their_texts_are() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT
    assert len({Secret(TEXT), Secret(TEXT), Secret("other")}) == 2
    assert (bool(Secret("")), bool(Secret(TEXT))) == (False, True)


@pytest.mark.parametrize(
    "value",
    [Secret(TEXT), SecretBytes(TEXT.encode()), Credentials(api_key="k", secret_key="v"), Sello(b"c", b"k", "p")],
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_with_a_secret_can_be_pickled(value: object, protocol: int) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(value, protocol)


def test_secret_bytes_are_bytes_and_masked() -> None:
    value = SecretBytes(TEXT.encode())
    shown = f"{value}{value!r}{value!s}{copy.deepcopy(value)!r}{copy.copy(value)!r}"
    assert value == TEXT.encode()
    assert "s3cr3t" not in shown


def test_the_repr_of_a_sello_masks_key_and_password() -> None:
    sello = Sello(b"certificate", b"private key", TEXT)
    shown = repr(sello) + repr(attrs.asdict(sello)) + repr(cattrs.unstructure(sello))
    assert ("private" in shown, TEXT in shown) == (False, False)
    assert (sello.cer, sello.key, sello.password.reveal()) == (b"certificate", b"private key", TEXT)


@pytest.mark.parametrize("name", ["api_key", "secret_key"])
@pytest.mark.parametrize("value", ["", " ", "two words", "line\nbreak", "ñ", "nul\0", "tab\t", "del\x7f"])
def test_a_key_that_is_no_valid_header_value_is_refused_without_showing_it(name: str, value: str) -> None:
    with pytest.raises(InvalidInputError, match=name) as refused:
        Credentials(**{"api_key": "k", "secret_key": "v", name: value})
    text = "".join(traceback.format_exception(refused.value))
    assert refused.value.field == name
    assert value.strip() == "" or value not in text


@pytest.mark.parametrize("value", [None, b"key", 7, ["key"]])
def test_a_key_must_be_a_text_and_not_empty(value: str) -> None:
    with pytest.raises(InvalidInputError, match="secret_key must be a text") as refused:
        Credentials(api_key="k", secret_key=value)
    assert refused.value.field == "secret_key"
    with pytest.raises(InvalidInputError, match="must be a text"):
        Secret(value)


def test_a_config_can_be_pickled() -> None:
    config = Config(base_url=PRODUCTION, endpoint_rates={"series.list": Rate(1, 1)})
    assert pickle.loads(pickle.dumps(config)) == config
    assert copy.deepcopy(config) == config


def test_the_fingerprint_identifies_a_key_pair_without_revealing_it() -> None:
    pair = Credentials(api_key="abc", secret_key="def")
    assert pair.fingerprint == Credentials(api_key="abc", secret_key="def").fingerprint
    assert pair.fingerprint != Credentials(api_key="abcd", secret_key="ef").fingerprint
    assert ("abc" in pair.fingerprint, "def" in repr(pair)) == (False, False)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (PRODUCTION, PRODUCTION),
        ("https://example.mx/api/", "https://example.mx/api"),
        ("https://api.factura.com", "https://api.factura.com"),
        ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080/api"),
        ("http://localhost/api", "http://localhost/api"),
        ("http://[::1]:9/api", "http://[::1]:9/api"),
        (None, None),
        ("HTTPS://SANDBOX.FacturaOnline.com.mx:443/api/", SANDBOX),
        ("https://sandbox.facturaonline.com.mx./api///", SANDBOX),
        ("https://sandbox.facturaonline.com.mx:/api", SANDBOX),
        ("https://sandbox.facturaonline.com.mx:0443/api", SANDBOX),
        ("https://API.factura.com:443/", FACTURA_COM_PRODUCTION),
        ("https://example.mx:80/api", "https://example.mx:80/api"),
        ("http://localhost.:80/api", "http://localhost/api"),
        ("http://127.0.0.1:443/api", "http://127.0.0.1:443/api"),
        ("http://[0:0:0:0:0:0:0:1]:80/", "http://[::1]"),
        ("https://[2001:DB8::0:1]:8443/Api", "https://[2001:db8::1]:8443/Api"),
        ("https://example.mx/API/%7evieja/%C3%B1/", "https://example.mx/API/%7evieja/%C3%B1"),
    ],
)
def test_a_base_url_is_https_or_loopback_and_normalised(given: str | None, kept: str | None) -> None:
    assert kept == Config(base_url=given).base_url


@given(
    st.sampled_from([PRODUCTION, SANDBOX, FACTURA_COM_PRODUCTION, FACTURA_COM_SANDBOX]),
    st.lists(st.booleans(), min_size=60, max_size=60),
    st.sampled_from(["", "."]),
    st.sampled_from(["", ":", ":443", ":0443"]),
    st.sampled_from(["", "/", "//"]),
)
def test_all_spellings_of_a_host_give_the_same_base_url(
    url: str, is_upper: list[bool], dot: str, port: str, slashes: str
) -> None:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    origin = "".join(
        letter.upper() if upper else letter for letter, upper in zip(f"{scheme}://{host}", is_upper, strict=False)
    )
    config = Config(base_url=f"{origin}{dot}{port}{slash}{path}{slashes}")
    assert (url, Config(base_url=url)) == (config.base_url, config)
    assert (url in {PRODUCTION, FACTURA_COM_PRODUCTION}) == config.is_production


@pytest.mark.parametrize(
    "url",
    [
        "http://facturaonline.com.mx/api",
        "http://127.0.0.1.example.mx/api",
        "ftp://example.mx",
        "facturaonline.com.mx/api",
        "https://",
        "https:///api",
        "https://user:word@example.mx/api",
        "https://example.mx/api?x=1",
        "https://example.mx/api#x",
        "https://example.mx/api?",
        "https://example.mx/api#",
        "https://a..b/api",
        f"https://{'a' * 70}.mx/api",
        "https://example.mx/api\r\nX: y",
        "https://exämple.mx",
        "https://example.mx\\@evil.mx",
        "https://example.mx:99999/",
        "https://[::1",
        "https://[v1.fe80]/api",
        "https://.",
        "https://./api",
        "https://example.mx../api",
        "https://ex%61mple.mx/api",
        "https://example.mx:0/api",
        "https://example.mx/api/../v4",
        "https://example.mx/./api",
        "http://localhost.example.mx/api",
        "",
        7,
    ],
)
def test_any_other_base_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="base_url") as refused:
        Config(base_url=url)
    assert refused.value.field == "base_url"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", 0),
        ("concurrency", True),
        ("concurrency", 1.5),
        ("concurrency_per_key", 0),
        ("max_wait", -1),
        ("max_wait", "x"),
        ("deadline", 0),
        ("deadline", float("nan")),
        ("total_timeout", float("inf")),
        ("rates", ("10/s",)),
        ("endpoint_rates", {"series.list": ("10/s",)}),
        ("upload", "ftp"),
        ("plugin", "two words"),
        ("max_list_bytes", 0),
        ("rates", None),
        ("rates", 10),
        ("endpoint_rates", {"series.list": 10}),
        ("endpoint_rates", 3),
        ("endpoint_rates", (Rate(1, 1),)),
        ("endpoint_rates", {"nonsense": Rate(1, 1)}),
        ("endpoint_rates", {"serie.create": ()}),
        ("endpoint_rates", {7: Rate(1, 1)}),
        ("max_wait", float("nan")),
        ("max_wait", float("inf")),
        ("max_wait", -0.001),
        ("max_wait", "5"),
        ("max_wait", b"5"),
        ("plugin", None),
        ("upload", []),
        ("retry", 3),
        ("ssl_context", True),
        ("max_wait", True),
        ("proxy", "localhost:3128"),
        ("proxy", "socks5://127.0.0.1:1080"),
        ("proxy", "http://[::1"),
        ("proxy", 5),
        ("settle", 0),
        ("check_sello", "yes"),
    ],
)
def test_an_unusable_setting_is_refused_and_the_error_names_its_field(name: str, value: object) -> None:
    with pytest.raises(InvalidInputError, match=name) as refused:
        Config(**{name: value})  # type: ignore[arg-type]
    assert refused.value.field == name


@pytest.mark.parametrize(("calls", "per"), [(0, 1), (1, 0), (1.5, 1), (True, 1), (1, float("nan")), (1, -1)])
def test_a_rate_refuses_other_than_positive_numbers(calls: int, per: float) -> None:
    with pytest.raises(InvalidInputError):
        Rate(calls, per)


def test_an_unknown_endpoint_is_refused_with_the_list_of_valid_ones() -> None:
    with pytest.raises(InvalidInputError) as refused:
        evolve(Config(), endpoint_rates={"serie.create": Rate(1, 1), "series.list": Rate(1, 1)})
    assert str(refused.value).startswith("endpoint_rates names 'serie.create', but the endpoints are empresas.create,")


def test_the_endpoint_names_match_the_resources_endpoints() -> None:
    assert set(ENDPOINTS) == ENDPOINT_NAMES


def test_a_single_rate_is_accepted_for_a_tuple_of_rates() -> None:
    config = Config(rates=Rate(5, 1), endpoint_rates={"series.list": Rate(1, 1)})
    assert config.rates == (Rate(5, 1),)
    assert config.endpoint_rates == {"series.list": (Rate(1, 1),)}


def test_the_defaults_match_the_docs() -> None:
    config = Config()
    assert (config.rates, config.total_rates, config.host_rates) == ((Rate(10, 1),), (), ())
    assert (config.concurrency, config.concurrency_per_key, config.max_wait) == (128, 64, None)
    assert (config.connect_timeout, config.read_timeout, config.total_timeout, config.upload_timeout) == (5, 20, 30, 60)
    assert (config.deadline, config.retry, config.upload) == (90, RetryPolicy(), "multipart")


def test_a_config_is_frozen_and_changed_by_evolve() -> None:
    config = Config(base_url=PRODUCTION)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.deadline = 1.0  # type: ignore[misc]
    assert attrs.evolve(config, deadline=1).base_url == PRODUCTION
    assert hash(config) == hash(Config(base_url=PRODUCTION))


def test_the_repr_masks_a_proxy_with_its_password() -> None:
    assert "word" not in repr(Config(proxy="http://user:word@127.0.0.1:3128"))


def test_logging_a_secret_masks_it(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("keys: %s %r", Secret(TEXT), Credentials(api_key="key-a", secret_key="key-b"))
    assert ("s3cr3t" in caplog.text, "key-a" in caplog.text, "***" in caplog.text) == (False, False, True)
