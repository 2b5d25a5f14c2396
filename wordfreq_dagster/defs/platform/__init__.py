"""What a deployment chooses: AWS Batch, alerts, the reaper, links to code."""
