"""Tests of `finetune_assets.tuning`."""
