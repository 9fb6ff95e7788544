"""``python -m amhw.errors``."""

from amhw.commands.errors import command

if __name__ == "__main__":
    command(prog_name="amhw errors")
