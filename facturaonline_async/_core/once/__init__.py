"""A create happens once: pending creates, shared reads and keyed locks."""
