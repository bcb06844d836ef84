"""Tests of `finetune_assets.evaluation.gates`."""
