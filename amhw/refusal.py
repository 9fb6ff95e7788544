"""The one exception for input that cannot be used.

Every module raises `Refusal` with a single line that names what is wrong and what would be right;
the commands print that line on standard error and exit with status 2 (see `amhw.command`).
"""


class Refusal(ValueError):  # noqa: N818 (what happens is a refusal, not an error of the program)
    """The caller's input cannot be used; the message says what is wrong and what would be right."""
