"""``python -m amhw.sim``."""

from amhw.commands.sim import command

if __name__ == "__main__":
    command(prog_name="amhw sim")
