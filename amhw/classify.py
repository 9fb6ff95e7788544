"""``python -m amhw.classify``."""

from amhw.commands.classify import command

if __name__ == "__main__":
    command(prog_name="amhw classify")
