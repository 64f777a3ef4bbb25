"""Run the `facturaonline` command as ``python -m facturaonline_async.cli``."""

from facturaonline_async.cli import main

main()
