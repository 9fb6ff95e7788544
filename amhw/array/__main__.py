"""``python -m amhw.array``."""

from amhw.array.command import command

if __name__ == "__main__":
    command(prog_name="amhw array")
