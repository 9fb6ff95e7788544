"""`python -m amhw.select`."""

from amhw.commands.select import command

if __name__ == "__main__":
    command(prog_name="amhw select")
