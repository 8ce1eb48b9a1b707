"""Lets `python -m vmio` do what `vmio` does."""

from vmio.cli.main import main

main()
