"""Creates that happen once: pending creates, shared reads and keyed locks."""
