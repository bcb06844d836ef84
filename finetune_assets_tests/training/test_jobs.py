import json

import pytest
from pydantic import BaseModel, ConfigDict

from finetune_assets.records.errors import FinetuneError
from finetune_assets.training.jobs import read_job, run_reported, write_record


class Job(BaseModel):
    model_config = ConfigDict(extra="forbid")
    steps: int


@pytest.mark.parametrize(
    ("text", "named"), [("{", "whole file"), ('{"steps": "many"}', "steps"), ('{"steps": 1, "stepz": 2}', "stepz")]
)
def test_a_bad_job_file_names_the_field(tmp_path, text, named):
    path = tmp_path / "job.json"
    path.write_text(text)
    with pytest.raises(FinetuneError, match=named):
        read_job(path, Job)


def test_a_missing_job_file_is_named(tmp_path):
    with pytest.raises(FinetuneError, match=r"nowhere\.json"):
        read_job(tmp_path / "nowhere.json", Job)


def test_a_good_one_is_read(tmp_path):
    (tmp_path / "job.json").write_text('{"steps": 4}')
    assert read_job(tmp_path / "job.json", Job).steps == 4


def test_a_record_is_written_whole(tmp_path):
    write_record(tmp_path / "training.json", {"b": 1, "a": [1, 2.5]})
    assert json.loads((tmp_path / "training.json").read_text()) == {"a": [1, 2.5], "b": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["training.json"]


def test_a_record_never_holds_what_json_lacks(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_record(tmp_path / "training.json", {"loss": float("nan")})
    assert not (tmp_path / "training.json").exists()


def test_a_mendable_error_is_one_line_and_a_message(capsys):
    def body(reporter):
        raise FinetuneError("no rows", where="here", mend="add some")

    assert run_reported(body) == 1
    printed = capsys.readouterr()
    assert printed.err == "no rows at here. Mend: add some\n"
    assert json.loads(printed.out) == {"kind": "failed", "line": "no rows at here. Mend: add some"}


def test_a_bug_stays_a_bug():
    def body(reporter):
        raise KeyError("oops")

    with pytest.raises(KeyError):
        run_reported(body)
