"""``python -m microgradnp`` and the ``microgradnp`` command."""

import sys

_EXTRA = {"click", "rich", "tqdm", "matplotlib"}


def main() -> None:
    """Run the command line, or say how to install what it needs."""
    try:
        from microgradnp.cli import main as command

        command(prog_name="microgradnp")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA:
            raise
        sys.exit(f"microgradnp: the command line needs {package}: pip install 'microgradnp[cli]'")


if __name__ == "__main__":
    main()
