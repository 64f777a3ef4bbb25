"""Connections and exchanges over them. Nothing else imports aiohttp."""
