"""`python -m wordfreq_batch`: the same as the console script `wordfreq`."""

import signal


def main() -> int:
    """Run the command line. Ctrl-C ends the process while it is still being loaded, and after it.

    Python's own way of ending by a signal is a traceback, so `cli.main` replaces it; but loading
    that takes longer than reaching for Ctrl-C.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from wordfreq_batch.cli.main import main as run

    try:
        return run()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    raise SystemExit(main())
