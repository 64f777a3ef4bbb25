"""The emulator of FacturaOnline's API. It shares no code with the client."""
