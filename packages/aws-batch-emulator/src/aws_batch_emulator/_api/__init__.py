"""One module per group of API operations, with their limits, paging and descriptions."""
