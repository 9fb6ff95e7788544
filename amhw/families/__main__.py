"""``python -m amhw.families``."""

from amhw.families.command import command

if __name__ == "__main__":
    command(prog_name="amhw families")
