"""``python -m amhw.gen``."""

from amhw.commands.gen import command

if __name__ == "__main__":
    command(prog_name="amhw gen")
