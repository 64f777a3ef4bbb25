"""The engine of a run: how rows become companies and series, each exactly once."""
