"""Reading sources: files of every format to raw records, each row kept or quarantined with its place and reason."""
