"""The assets, one module each, and their checks: what is made.

How containers run is the matter of `batch`, when things run that of `automation`.
"""
