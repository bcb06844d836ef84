"""The trainer's messages: a message is read once all of it is there."""

import json
import threading
import time
from pathlib import Path
from typing import Any

from finetune_assets.resources.trainer import MessageReader, whole_lines


class Handler:
    """Keeps what it is given, as Dagster's handler would."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.messages.append(message)


def test_a_message_in_two_pieces_is_one_message() -> None:
    handler = Handler()
    with MessageReader().read_messages(handler) as params, Path(params["path"]).open("a") as file:
        for piece in ('{"step', '": 1}\n{"step": "', 'two"}\n', '{"step": 3}\n'):
            file.write(piece)
            file.flush()
            time.sleep(0.15)
    assert handler.messages == [{"step": 1}, {"step": "two"}, {"step": 3}]
    assert not Path(params["path"]).exists()


def test_what_was_written_before_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "messages"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in range(500)) + '{"half')
    ended = threading.Event()
    ended.set()
    assert [json.loads(line)["step"] for line in whole_lines(path, ended.is_set)] == list(range(500))
