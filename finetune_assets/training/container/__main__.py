"""Runs the container's entry point."""

from finetune_assets.training.container.entry import main

raise SystemExit(main())
