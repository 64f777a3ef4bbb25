"""HTTP transport over aiohttp; the only package that imports aiohttp."""
