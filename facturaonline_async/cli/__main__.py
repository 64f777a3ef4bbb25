"""``python -m facturaonline_async.cli`` is the `facturaonline` command."""

from facturaonline_async.cli import main

main()
