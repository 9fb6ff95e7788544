"""``python -m amhw.exports``."""

from amhw.commands.exports import command

if __name__ == "__main__":
    command(prog_name="amhw export")
