"""What `import microgradnp` costs beyond `import numpy`: fresh interpreters, each in turn, the best of many."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

STATEMENTS = ("pass", "import numpy", "import microgradnp")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def seconds(statement: str) -> float:
    """How long a fresh interpreter takes for a statement, start included; bytecode is cached as for any user."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, cwd=Path(__file__).parents[2], env=ENVIRONMENT)
    return time.perf_counter() - start


def main() -> None:
    """Measure, and print one line a statement."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeat", type=int, default=20)
    repeat = options.parse_args().repeat
    for statement in STATEMENTS:
        seconds(statement)  # leaves bytecode and a warm disk cache behind
    best = dict.fromkeys(STATEMENTS, float("inf"))
    for _ in range(repeat):
        for statement in STATEMENTS:
            best[statement] = min(best[statement], seconds(statement))
    numpy = best["import numpy"] - best["pass"]
    more = best["import microgradnp"] - best["import numpy"]
    print(f"import numpy          {1e3 * numpy:6.1f} ms")
    print(f"import microgradnp    {1e3 * more:6.1f} ms more, {more / numpy:.2f} of NumPy's own")


if __name__ == "__main__":
    main()
