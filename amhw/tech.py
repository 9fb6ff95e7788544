"""``python -m amhw.tech``."""

from amhw.commands.tech import command

if __name__ == "__main__":
    command(prog_name="amhw tech")
