"""Texts about the command doctor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str]] = {
    # A line: the state, the name of the check, and what was found; then the remedy.
    "doctor.line": "{check}: {text}",
    "doctor.remedy": "→ {text}",
    "doctor.state_ok": "ok",
    "doctor.state_failed": "FAILED",
    "doctor.state_skipped": "-",
    "doctor.label_versions": "versions",
    "doctor.label_api": "API",
    "doctor.label_keys": "keys",
    "doctor.label_proxy": "proxy",
    "doctor.label_dns": "DNS",
    "doctor.label_connection": "connection",
    "doctor.label_tls": "TLS",
    "doctor.label_answer": "answer",
    "doctor.label_clock": "clock",
    "doctor.label_database": "database",
    "doctor.label_account": "account",
    "doctor.label_lists": "lists",
    "doctor.skipped": "not checked, because this failed: {check}",
    "doctor.no_answer": "no answer in {seconds:g} s",
    # The environment.
    "doctor.versions": "facturaonline-async {package}, Python {python}, aiohttp {aiohttp}, {system}",
    "doctor.api": "{environment} {host}",
    "doctor.no_base_url": "FACTURAONLINE_BASE_URL is not set",
    "doctor.set_base_url": (
        "Set FACTURAONLINE_BASE_URL, or give --base-url. The sandbox is {sandbox} and production is {production}."
    ),
    "doctor.keys": "FACTURAONLINE_API_KEY and FACTURAONLINE_SECRET_KEY are set",
    "doctor.keys_of_profile": "the profile has both",
    "doctor.no_key": "{variable} is not set",
    "doctor.malformed_key": "{variable} has a blank, a line break or another character that no key has",
    "doctor.set_keys": "Copy both keys from the account's panel, and set them in the environment of the command.",
    "doctor.no_proxy": "the environment names none",
    "doctor.proxy": "the environment sets {names}, which the command does not use",
    "doctor.proxy_unused": (
        "If this network needs the proxy of {names}: the command does not use it; in Python give Config(proxy=…)."
    ),
    # The connection.
    "doctor.dns": "{host} has the address {addresses}",
    "doctor.unknown_host": "{host} is not found: {reason}",
    "doctor.connection": "port {port} accepts connections, after {milliseconds} ms",
    "doctor.no_connection": "{host}, port {port}: {reason}",
    "doctor.check_network": "Check the address of the API, the network of this machine, and its firewall.",
    "doctor.no_tls": "none, because the address is http on this machine",
    "doctor.tls": "{version}, with a certificate of {issuer}, valid until {day}",
    "doctor.certificate_refused": "the server's certificate is not accepted: {reason}",
    "doctor.tls_failed": "no TLS connection: {reason}",
    "doctor.certificate_dates": (
        "Compare the clock of this machine. If it is right, the server has to renew its certificate."
    ),
    "doctor.certificate_chain": (
        "The server omits a certificate of its chain, or a proxy inspects the connection. Put the missing authority in "
        "a PEM file, and name it in SSL_CERT_FILE. Never turn the verification off: the keys would be readable."
    ),
    "doctor.certificate_host": (
        "Another server answers: check the address of the API, and whether a proxy or the login page of a network is "
        "in between."
    ),
    "doctor.not_tls": "Check the address and the port of the API: what answers there does not speak TLS as expected.",
    "doctor.answer": "HTTP {status} after {milliseconds} ms",
    "doctor.not_http": "what is there does not answer in HTTP",
    "doctor.check_address": "Check the address of the API, which looks like {url}.",
    "doctor.clock": "this machine and the server agree",
    "doctor.no_date": "the server does not say its time",
    "doctor.clock_ahead": "this machine is {seconds} s ahead of the server",
    "doctor.clock_behind": "this machine is {seconds} s behind the server",
    "doctor.set_clock": "Let this machine set its clock from the network (NTP). Certificates are judged by it.",
    # The account.
    "doctor.no_database": "none is configured",
    "doctor.database": "{address}, version {version} of the schema",
    "doctor.check_database": ("Check the URL of the database and its server, and run facturaonline postgres status."),
    "doctor.account": "the keys are those of {rfc} {razon_social} in {environment}",
    "doctor.ask_for_access": "Ask FacturaOnline for a plan with API access.",
    "doctor.try_again": (
        "Try again in some minutes. If it stays so, check the address of the API, which looks like {url}."
    ),
    "doctor.lists": "{empresas}, and {series} of the company of the keys",
}
