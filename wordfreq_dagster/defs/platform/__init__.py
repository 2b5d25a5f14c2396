"""What a deployment chooses: AWS Batch, alerts, the reaper, pages of the embedded one."""
