"""`python -m wordfreq_batch`: the same as the console script `wordfreq`."""

from wordfreq_batch.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
