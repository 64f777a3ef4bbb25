"""Servers that programs under test share their work through."""

from __future__ import annotations

from tests.postgres.conftest import shared_server, template, url

__all__ = ["shared_server", "template", "url"]
