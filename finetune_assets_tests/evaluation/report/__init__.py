"""Tests of `finetune_assets.evaluation.report`."""
