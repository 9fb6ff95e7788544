"""``python -m amhw.errors``."""

from amhw.errors.command import command

if __name__ == "__main__":
    command(prog_name="amhw errors")
