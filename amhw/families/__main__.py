"""``python -m amhw.families``."""

from amhw.commands.families import command

if __name__ == "__main__":
    command(prog_name="amhw families")
