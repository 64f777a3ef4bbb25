"""Rate limits and concurrency: when a call may start."""
