"""The command ``microgradnp``: the group that its subcommands hang from, each in a file of its own."""

import click

from microgradnp import __version__
from microgradnp.cli.check import check
from microgradnp.cli.document import document
from microgradnp.cli.fit import fit
from microgradnp.cli.predict import predict


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Automatic differentiation on NumPy, with gradients that can be checked."""


for command in (check, document, fit, predict):
    main.add_command(command)
