"""The assets, one module each, and their checks: what is made. How containers run is `batch`'s matter."""
