"""The trainer's container: `python -m finetune_assets.training.container --job gs://bucket/jobs/KEY/job.json`.

Here belongs what surrounds the trainer on a machine that is lent and may be taken away: the job comes from Cloud
Storage, checkpoints and result go there, and the waiting Dagster run is told through Pipes. Training itself is the
trainer's, which runs as a process of its own exactly as it does locally.
"""
