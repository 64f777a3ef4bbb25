"""The API's envelope, JSON and request bodies, without I/O and event loop."""
