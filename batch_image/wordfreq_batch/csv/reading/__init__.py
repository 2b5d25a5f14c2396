"""CSVs as rows: how they are written, what they look like, what they hold. Knows no tables."""
