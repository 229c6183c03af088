"""``python -m microgradnp`` and the ``microgradnp`` command."""

import io
import os
import sys

_EXTRA = {"click", "rich", "tqdm", "matplotlib"}


def main() -> None:
    """Run the command line, or say in one line how to install what it needs or that its output goes nowhere."""
    if sys.stdout is None:
        sys.exit("microgradnp: standard output is closed; send it to a file, or to the null device.")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a column's name may have letters that the terminal does not
    try:
        from microgradnp.cli.main import main as command

        command(prog_name="microgradnp")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA:
            raise
        sys.exit(f"microgradnp: the command line needs {package}: pip install 'microgradnp[cli]'")
    except OSError as error:
        try:
            print(flush=True)  # whether it was the output that failed shows itself by failing again
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # no more of it at the interpreter's end
            sys.exit(f"microgradnp: standard output cannot be written: {error.strerror}.")
        raise


if __name__ == "__main__":
    main()
