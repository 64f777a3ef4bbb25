"""Journal of a run: file, schema, lock, completeness, writer and readers. Private."""
