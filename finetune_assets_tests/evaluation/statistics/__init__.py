"""Tests of `finetune_assets.evaluation.statistics`."""
