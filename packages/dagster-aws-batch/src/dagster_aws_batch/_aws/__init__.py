"""How this library speaks with AWS: calls, rates, requests, answers, names, logs; no Dagster."""
