"""``python -m amhw.imports``."""

from amhw.commands.imports import command

if __name__ == "__main__":
    command(prog_name="amhw import")
