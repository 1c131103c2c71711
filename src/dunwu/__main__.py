"""``python -m dunwu``: the command line, also where the ``dunwu`` command is not on the path."""

from dunwu.cli import main

main(prog_name="dunwu")
