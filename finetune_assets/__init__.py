"""finetune_assets: from raw records to a live fine-tuned model and back, as one Dagster lineage graph."""

__version__ = "0.1.0"
