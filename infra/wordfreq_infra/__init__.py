"""The AWS infrastructure of wordfreq_dagster: one module a stack, joined by `app.build`."""
