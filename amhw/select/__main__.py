"""`python -m amhw.select`."""

from amhw.select.command import command

if __name__ == "__main__":
    command(prog_name="amhw select")
