"""Tests of `finetune_assets.training`."""
