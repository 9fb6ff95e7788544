"""``python -m amhw.study``."""

from amhw.study.command import command

command(prog_name="amhw study")
