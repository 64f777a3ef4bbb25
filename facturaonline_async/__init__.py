"""Asyncio client for FacturaOnline."""
