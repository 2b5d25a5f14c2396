"""How a job runs: as a subprocess, as a container, or simulated."""
