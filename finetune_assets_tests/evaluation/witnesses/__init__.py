"""Tests of `finetune_assets.evaluation.witnesses`."""
