"""``python -m amhw.cascade``."""

from amhw.commands.cascade import command

if __name__ == "__main__":
    command(prog_name="amhw cascade")
