"""Plans: companies and series that should exist, from Python, CSV or TOML.

Private.
"""
