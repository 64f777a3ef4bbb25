"""What the library costs, beside raw aiohttp and other clients. Run it from the root: ``python -m benchmarks``."""
