"""``python -m amhw.array``."""

from amhw.commands.array import command

if __name__ == "__main__":
    command(prog_name="amhw array")
