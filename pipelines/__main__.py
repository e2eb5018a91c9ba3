"""`python -m pipelines`: the `lus` command where the package is not installed."""

from pipelines.commands.main import main

main(prog_name="lus")
