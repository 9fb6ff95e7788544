"""``python -m amhw.energy``."""

from amhw.commands.energy import command

if __name__ == "__main__":
    command(prog_name="amhw energy")
