"""``python -m amhw.study``."""

from amhw.commands.study import command

command(prog_name="amhw study")
