"""The API's envelope, JSON and request bodies (sans-I/O: no asyncio, no aiohttp, no anyio)."""
