"""``python -m amhw.imports``."""

from amhw.imports.command import command

if __name__ == "__main__":
    command(prog_name="amhw import")
