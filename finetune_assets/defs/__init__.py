"""What we tune: one folder for each task, and `platform/` for what all share."""
