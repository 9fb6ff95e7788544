"""``python -m amhw.accuracy``."""

from amhw.commands.accuracy import command

if __name__ == "__main__":
    command(prog_name="amhw accuracy")
