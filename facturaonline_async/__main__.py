"""The `facturaonline` command as ``python -m facturaonline_async``."""

from facturaonline_async._cli import main

main()
