"""The demos: `make demo`, `make demo-csv`. Not part of any package."""
