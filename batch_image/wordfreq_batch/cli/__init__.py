"""The command `wordfreq`."""
