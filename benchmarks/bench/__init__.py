"""`make bench`: this project beside its peers, on one machine, with everything checked.

Run as `python -m benchmarks.bench`. What is measured is in `counting`, `merging` and `services`;
the peers' own code, each as good as we could make it, is in `benchmarks/peers/`.
"""
