"""``python -m amhw.show``."""

from amhw.commands.show import command

if __name__ == "__main__":
    command(prog_name="amhw show")
