"""What `definitions` loads: a folder per pipeline, and `platform` for what a deployment chooses."""
