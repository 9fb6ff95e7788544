"""The command line: one file a subcommand. Nothing but `amhw.cli` and the ``python -m`` doors imports these."""
