"""`python -m wordfreq`: the same as the console script `wordfreq`."""

from wordfreq.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
