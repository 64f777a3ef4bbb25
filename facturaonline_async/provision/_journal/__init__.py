"""The journal of a run: its file, its lock, who writes it and who reads it."""
