"""Read a run: its results, its curves and its answers, as Arrow tables.

python examples/reading_a_run.py runs/demo
"""

import sys

import dunwu


def main(directory: str) -> None:
    """Print what a run came to, and its longest right answer."""
    run = dunwu.Run(directory)
    print(run)
    for row in run.results().to_pylist():
        if row["quantity"] == "pass@1":
            print(f"{row['checkpoint']:>12} {row['set']}: {row['value']:.1%} ({row['low']:.1%} to {row['high']:.1%})")
    metrics = run.metrics()
    print("reward:", *(f"{reward:.2f}" for reward in metrics["reward"].to_pylist()))
    answers = run.answers().to_pylist()
    right = [row for row in answers if row["part.accuracy"] == 1.0]
    print(max(right, key=lambda row: row["tokens"])["completion"])


if __name__ == "__main__":
    main(sys.argv[1])
