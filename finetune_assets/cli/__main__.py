"""`python -m finetune_assets.cli` is `finetune`."""

from finetune_assets.cli.commands import main

main()
