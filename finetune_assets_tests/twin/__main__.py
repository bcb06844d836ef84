"""`make twin`: the router task on Google Cloud from upload to undeployment, against stand-ins on this machine.

    python -m finetune_assets_tests.twin [--keep FOLDER]

Both stand-ins run as processes of their own, and `finetune` as a person calls it, with Google's own clients. What each
step is said to have done is asked of the stand-ins. They prove the wire and the order of things: their models only
repeat the nearest row that they were given, so that no score of theirs says anything about a model.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from finetune_assets_tests.e2e.command import command, environment
from finetune_assets_tests.twin import proofs
from finetune_assets_tests.twin.proofs import NotProvenError, Place
from finetune_assets_tests.twin.world import NO_BENCHMARK, SIDE_BY_SIDE, World, running_world

TASK = "router_open"
FIRST_EPOCHS, SECOND_EPOCHS = 3.0, 4.0
_PREDICTIONS = 20
_STOP_S = 20.0
# What is told of a run while it goes on: what is asked for, its estimate, its states, and who is asked.
_SHOWN = ("run key", "tuning: ", "JOB_STATE", "rows by variant", "test rows answered")

Proof = Callable[[], str]


class Story:
    """Prints a line for each step, with the seconds since the one before, and counts what did not hold."""

    def __init__(self) -> None:
        self.began = self._last = time.monotonic()
        self.steps = 0

    def say(self, text: str) -> None:
        """Print what is under way."""
        print(f"           · {text}", flush=True)

    def step(self, name: str, proof: Proof) -> None:
        """Prove a step and print it."""
        told = proof()
        now = time.monotonic()
        print(f"{now - self._last:6.1f} s  ok  {name:<14} {told}", flush=True)
        self._last, self.steps = now, self.steps + 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


class Twin:
    """The router task in a home of its own.

    Args:
        world: the stand-ins.
        root: where home and logs go.
        story: where steps are told.
    """

    def __init__(self, world: World, root: Path, story: Story) -> None:
        self.place = Place(world, root / "home", TASK)
        self._root, self._story = root, story

    def finetune(self, *arguments: str, epochs: float = FIRST_EPOCHS, after: dict[str, list[tuple[str, Proof]]]) -> str:
        """Run `finetune`; each time it has made an asset, prove what is to be proven after it.

        Raises:
            NotProvenError: when it does not end well.
        """
        settings = {**NO_BENCHMARK, **SIDE_BY_SIDE, "TUNING__EPOCHS": f"{epochs:g}"}
        env = environment(self.place.home, self.place.world.environment(TASK, **settings))
        said: list[str] = []
        with (self._root / "finetune.log").open("a") as log:
            process = subprocess.Popen(
                command(*arguments),
                env=env,
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    log.write(line)
                    said.append(line)
                    self._hear(line, after)
                code = process.wait()
            finally:
                _end(process)
        if code != 0:
            raise NotProvenError(f"finetune {' '.join(arguments)} ended with {code}: {''.join(said[-4:]).strip()}")
        return "".join(said)

    def _hear(self, line: str, after: dict[str, list[tuple[str, Proof]]]) -> None:
        word, _, name = line.strip().partition(" ")
        if word in ("made", "reused"):
            for step, proof in after.pop(name.strip().rpartition("/")[2], []):
                self._story.step(step, proof)
        elif line.startswith("      ") and any(words in line for words in _SHOWN):
            self._story.say(line.strip())

    def first_release(self) -> None:
        place = self.place
        self.finetune(
            "run",
            TASK,
            after={
                "uploaded_dataset": [("upload", lambda: proofs.upload(place))],
                "tuned_adapter_qwen": [("tune", lambda: proofs.tuned(place, FIRST_EPOCHS))],
                "validation_report": [
                    ("registry", lambda: proofs.registered(place, 3)),
                    ("evaluate", lambda: proofs.judged(place)),
                ],
                "deployed_endpoint": [("deploy", lambda: proofs.released(place, 1))],
            },
        )
        self._story.step("predict", lambda: proofs.predicted(place, _PREDICTIONS))

    def second_release(self) -> None:
        place = self.place
        old = place.reference().deployed_model_id
        with place.observer() as seen:
            self.finetune(
                "run",
                TASK,
                epochs=SECOND_EPOCHS,
                after={
                    "tuned_adapter_qwen": [("tune again", lambda: proofs.tuned(place, SECOND_EPOCHS))],
                    "validation_report": [
                        ("registry", lambda: proofs.registered(place, 6)),
                        ("evaluate", lambda: proofs.judged(place)),
                    ],
                    "deployed_endpoint": [("deploy beside", lambda: proofs.released(place, 2))],
                },
            )
        new = place.reference().deployed_model_id
        self._story.step("shift", lambda: proofs.shifted(place, seen, old, new))
        self._story.step("predict", lambda: proofs.predicted(place, _PREDICTIONS))

    def take_down(self) -> None:
        name = proofs.short_of(self.place.reference().endpoint)
        self.finetune("endpoints", "undeploy", TASK, name, "--yes", after={})
        self.finetune("endpoints", "delete", TASK, name, after={})
        self._story.step("undeploy", lambda: proofs.empty(self.place))


def _end(process: subprocess.Popen[str]) -> None:
    """End a command that still runs, gently first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Give a folder that is gone afterwards, unless somebody wants to look into it."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="finetune-twin-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Tell the whole story; return the exit code: 0, or 1 where something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="an empty folder for home, logs and stand-ins, which then stay")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    story = Story()
    print("The offline twin: Google's clients against stand-ins on this machine. They prove the wire, not a model.")
    with _folder(options.keep) as root:
        try:
            with running_world(root / "cloud", tuning_quota=3) as world:
                place = f"Cloud Storage at {world.gcs.url}, Vertex AI at {world.vertex.url}"
                story.step("stand-ins", lambda: place)
                twin = Twin(world, root, story)
                twin.first_release()
                twin.second_release()
                twin.take_down()
        except NotProvenError as problem:
            print(f"          NOT PROVEN  {problem}", flush=True)
            return 1
        except KeyboardInterrupt:
            print("stopped; the stand-ins are gone", file=sys.stderr)
            return 130
    print(
        f"{story.steps} steps held in {story.seconds:.0f} s: 6 tuning jobs submitted once each, 2 releases, the second "
        "beside the first. The answers were the stand-in's own; no score here says anything about a model."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
