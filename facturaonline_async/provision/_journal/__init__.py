"""Journal of a run: file, schema, lock, seal, writer and readers. Private."""
