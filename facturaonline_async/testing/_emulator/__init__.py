"""Emulator of FacturaOnline's API, which shares no code with the client."""
