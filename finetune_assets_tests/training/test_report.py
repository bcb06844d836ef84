import json
import sys

import pytest

from finetune_assets.training.report import open_reporter


def test_without_dagster_lines_go_to_stdout_as_json(capsys):
    with open_reporter(environ={}) as reporter:
        reporter.info("hello")
        reporter.progress(step=3, total=9, loss=0.5, epoch=1.0)
        reporter.progress(step=4, total=9, validation_loss=0.25)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"kind": "log", "line": "hello"},
        {"kind": "log", "line": "step 3/9 loss 0.500 epoch 1"},
        {"kind": "progress", "step": 3, "total": 9, "loss": 0.5, "epoch": 1.0},
        {"kind": "log", "line": "step 4/9 validation_loss 0.25"},
        {"kind": "progress", "step": 4, "total": 9, "loss": None, "validation_loss": 0.25},
    ]


@pytest.mark.slow
def test_under_dagster_they_go_through_pipes():
    import dagster as dg

    code = (
        "from finetune_assets.training.report import open_reporter\n"
        "with open_reporter() as reporter:\n"
        "    reporter.progress(step=1, total=2, loss=0.125)\n"
    )
    seen = []

    @dg.asset
    def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        done = dg.PipesSubprocessClient().run(context=context, command=[sys.executable, "-c", code])
        seen.extend(done.get_custom_messages())
        return done.get_materialize_result()

    assert dg.materialize([trained]).success
    assert seen == [{"kind": "progress", "step": 1, "total": 2, "loss": 0.125}]
