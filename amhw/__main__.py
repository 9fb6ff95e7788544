"""`python -m amhw`, for where the command is not on the path."""

from amhw.cli import main

if __name__ == "__main__":
    main(prog_name="amhw")
