"""Words and their sums in bounded memory: the kernel, sorted files, merging them."""
