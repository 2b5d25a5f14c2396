"""`python -m wordfreq_batch`: the same as the console script `wordfreq`."""

import gc
import signal

# Next to nothing here refers to itself in circles: looking for it takes a thirtieth of the time.
gc.set_threshold(20_000)

# Python's own way of ending by Ctrl-C is a traceback. `cli.main` has a better one; until that is
# loaded, which takes longer than reaching for Ctrl-C, and after it, the process just ends.
signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> int:
    """Run the command line and return its exit code."""
    from wordfreq_batch.cli.main import main as run

    try:
        return run()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    raise SystemExit(main())
