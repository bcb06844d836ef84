from __future__ import annotations

import json
import random
import resource
import signal
import stat as modes
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from finetune_assets.storage.gcs.calls import GcsUri, Patience, Waiting
from finetune_assets.storage.gcs.downloads import Downloader
from finetune_assets.storage.gcs.errors import CloudStorageError, ContentChangedError, UnavailableError
from finetune_assets.storage.gcs.objects import stat, sums_of
from finetune_assets.storage.gcs.uploads import CHUNK_BYTES, Uploader
from finetune_assets_tests.fakes.fixtures import PROJECT, RunningGcs, StandIn, running_gcs, storage_client, wait_until
from finetune_assets_tests.storage.gcs.conftest import HASTY, QUICK

URI = GcsUri("bkt", "big/file.bin")
MIB = 1 << 20

CLIENT = """
import sys
from pathlib import Path
from finetune_assets.storage.gcs.calls import GcsUri, Patience
from finetune_assets.storage.gcs.uploads import Uploader
from finetune_assets_tests.fakes.fixtures import storage_client
url, path, work = sys.argv[1:]
patience = Patience(deadline_s=60, initial_s=0.05, maximum_s=0.5)
found = Uploader(storage_client(url), Path(work), patience).put_once(GcsUri("bkt", "big/file.bin"), Path(path))
import resource
print(found.generation, found.crc32c, found.size, found.created, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def random_file(path: Path, size: int, seed: int = 1) -> Path:
    draw = random.Random(seed)
    with path.open("wb") as stream:
        for start in range(0, size, MIB):
            stream.write(draw.randbytes(min(MIB, size - start)))
    return path


def client_process(url: str, path: Path, work: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, url, str(path), str(work)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )


def sent(server: StandIn) -> list[tuple[int, int]]:
    """Return (first, last) of every chunk that the server has answered."""
    ranges = [entry["range"] or "" for entry in server.log() if entry["method"] == "PUT"]
    return [
        tuple(int(number) for number in text.removeprefix("bytes ").partition("/")[0].split("-"))
        for text in ranges
        if not text.startswith("bytes *")
    ]


@pytest.mark.parametrize("size", [0, 1, 100_000, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_every_size_arrives_once(gcs: StandIn, tmp_path: Path, size: int) -> None:
    path = random_file(tmp_path / "file", size)
    uploader = Uploader(gcs.client(), tmp_path / "work", QUICK)
    first = uploader.put_once(URI, path)
    again = uploader.put_once(URI, path)
    assert (first.created, again.created) == (True, False)
    assert first.generation == again.generation
    assert first.sha256 == again.sha256 == sums_of(path).sha256
    assert gcs.client().bucket("bkt").blob(URI.name).download_as_bytes() == path.read_bytes()
    assert not list((tmp_path / "work").glob("*")) if (tmp_path / "work").exists() else True


@pytest.mark.parametrize("size", [10, CHUNK_BYTES + 1])
def test_other_bytes_under_a_name_are_refused(gcs: StandIn, tmp_path: Path, size: int) -> None:
    uploader = Uploader(gcs.client(), None, QUICK)
    uploader.put_once(URI, random_file(tmp_path / "one", size, 1))
    with pytest.raises(ContentChangedError, match=r"gs://bkt/big/file\.bin"):
        uploader.put_once(URI, random_file(tmp_path / "two", size, 2))


@pytest.mark.parametrize("size", [10, 2 * CHUNK_BYTES])
@pytest.mark.parametrize("fault", [{"cut": "after_commit"}, {"status": 503, "after_commit": True}])
def test_a_lost_answer_is_a_success(gcs: StandIn, tmp_path: Path, size: int, fault: dict) -> None:
    path = random_file(tmp_path / "file", size)
    gcs.fault({"match": "^(POST|PUT) .*upload", "times": 1, "skip": 2 if size > 10 else 0, **fault})
    found = Uploader(gcs.client(), tmp_path / "work", QUICK).put_once(URI, path)
    assert stat(gcs.client(), URI, QUICK).generation == found.generation
    assert gcs.client().bucket("bkt").blob(URI.name).download_as_bytes() == path.read_bytes()


def test_a_file_that_changes_while_it_is_sent_never_appears(gcs: StandIn, tmp_path: Path) -> None:
    path = random_file(tmp_path / "file", 3 * CHUNK_BYTES)
    gcs.fault({"match": "^PUT", "delay_s": 0.5, "times": 2})
    problems: list[BaseException] = []

    def put() -> None:
        try:
            Uploader(gcs.client(), tmp_path / "work", QUICK).put_once(URI, path)
        except CloudStorageError as error:
            problems.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    wait_until(lambda: any(entry["method"] == "PUT" for entry in gcs.log()))
    with path.open("r+b") as stream:
        stream.seek(2 * CHUNK_BYTES + 5)
        stream.write(b"changed!")
    thread.join()
    assert isinstance(problems[0], ContentChangedError)
    assert stat(gcs.client(), URI, QUICK) is None
    assert not list((tmp_path / "work").glob("*.json"))


@pytest.mark.parametrize("seed", range(3))
def test_an_upload_in_a_storm_of_everything(gcs: StandIn, tmp_path: Path, seed: int) -> None:
    path = random_file(tmp_path / "file", 5 * CHUNK_BYTES + 3)
    kinds = [{"status": 503}, {"status": 429}, {"cut": "before"}, {"cut": "mid_body"}, {"cut": "after_commit"}]
    gcs.fault(
        *(
            {"match": "upload|/o/", "probability": 0.13, "seed": seed * 10 + number, **kind}
            for number, kind in enumerate(kinds)
        )
    )
    found = Uploader(gcs.client(), tmp_path / "work", QUICK).put_once(URI, path)
    gcs.clear_faults()
    assert found.size == path.stat().st_size
    Downloader(gcs.client(), QUICK).fetch(found, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == path.read_bytes()


def test_an_upload_that_is_given_up_goes_on_later(gcs: StandIn, tmp_path: Path) -> None:
    path = random_file(tmp_path / "file", 4 * CHUNK_BYTES)
    gcs.fault({"match": "^PUT", "status": 503, "skip": 3})
    with pytest.raises(UnavailableError, match="what was uploaded is kept") as caught:
        Uploader(gcs.client(), tmp_path / "work", HASTY).put_once(URI, path)
    assert "upload_id" not in str(caught.value)
    (note,) = (tmp_path / "work").glob("*.json")
    assert modes.S_IMODE(note.stat().st_mode) == 0o600
    gcs.clear_faults()
    gcs.forget_log()
    Uploader(gcs.client(), tmp_path / "work", QUICK).put_once(URI, path)
    assert [first for first, _ in sent(gcs)] == [2 * CHUNK_BYTES, 3 * CHUNK_BYTES]


def test_a_session_that_has_expired_is_begun_anew(gcs: StandIn, tmp_path: Path) -> None:
    path = random_file(tmp_path / "file", 2 * CHUNK_BYTES)
    gcs.fault({"match": "^PUT", "status": 410, "times": 1, "skip": 1})
    Uploader(gcs.client(), tmp_path / "work", QUICK).put_once(URI, path)
    assert gcs.client().bucket("bkt").blob(URI.name).download_as_bytes() == path.read_bytes()


def test_a_damaged_note_costs_a_fresh_start(gcs: StandIn, tmp_path: Path) -> None:
    path = random_file(tmp_path / "file", 2 * CHUNK_BYTES)
    gcs.fault({"match": "^PUT", "status": 503})
    with pytest.raises(UnavailableError):
        Uploader(gcs.client(), tmp_path / "work", HASTY).put_once(URI, path)
    gcs.clear_faults()
    (note,) = (tmp_path / "work").glob("*.json")
    note.write_text('{"url": ')
    assert Uploader(gcs.client(), tmp_path / "work", QUICK).put_once(URI, path).created


def test_two_uploaders_of_the_same_file_agree(gcs: StandIn, tmp_path: Path) -> None:
    path = random_file(tmp_path / "file", 4 * CHUNK_BYTES)
    found: list[object] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(Uploader(gcs.client(), tmp_path / "work", QUICK).put_once(URI, path))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({item.generation for item in found}) == 1
    assert sum(item.created for item in found) == 1


def _moved_on(server: RunningGcs, client: subprocess.Popen[str], already: int) -> bool:
    return len(sent(server)) >= already + 2 or client.poll() is not None


def upload_through_kills(root: Path, size: int, kills: int) -> tuple[RunningGcs, list[str], list[tuple[int, int]]]:
    """Upload a file while server and client are killed in turns; return what the last client printed."""
    path = random_file(root / "file", size)
    chunks: list[tuple[int, int]] = []
    with running_gcs(root / "gcs") as server:
        server.bucket("bkt")
        client = client_process(server.url, path, root / "work")
        for number in range(kills):
            already = len(sent(server))
            wait_until(partial(_moved_on, server, client, already), 120)
            if client.poll() is not None:
                break
            if number % 2:
                client.send_signal(signal.SIGKILL)
                client.communicate()
                client = client_process(server.url, path, root / "work")
            else:
                chunks += sent(server)
                server.kill()
                server.start()
        out, _ = client.communicate(timeout=600)
        chunks += sent(server)
        assert client.returncode == 0
        words = out.split()
        wanted = sums_of(path)
        assert words[1:3] == [wanted.crc32c, str(wanted.size)]
        remote = stat(server.client(), URI, QUICK)
        assert remote.sha256 == wanted.sha256
        Downloader(server.client(), QUICK).fetch(remote, root / "back")
        assert sums_of(root / "back") == wanted
    return server, words, chunks


def test_64_mib_survive_a_killed_server_and_a_killed_client(tmp_path: Path) -> None:
    _, _, chunks = upload_through_kills(tmp_path, 64 * MIB, 2)
    # What the server had kept was not sent again, save the chunk that a kill cut.
    assert sum(last + 1 - first for first, last in chunks) <= (64 + 4 * 8) * MIB


@pytest.mark.soak
def test_one_gigabyte_survives_kills_with_bounded_memory(tmp_path: Path) -> None:
    _, words, _ = upload_through_kills(tmp_path, 1024 * MIB, 12)
    assert int(words[4]) < 200 * 1024  # KiB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1024 * 1024


def test_a_download_goes_on_where_a_break_left_it(gcs: StandIn, tmp_path: Path) -> None:
    path = random_file(tmp_path / "file", 3 * MIB)
    found = Uploader(gcs.client(), None, QUICK).put_once(URI, path)
    gcs.fault({"match": "download", "cut": "mid_body", "times": 1}, {"match": "download", "status": 503})
    with pytest.raises(UnavailableError):
        Downloader(gcs.client(), HASTY).fetch(found, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    gcs.clear_faults()
    gcs.forget_log()
    Downloader(gcs.client(), HASTY).fetch(found, tmp_path / "back")
    (read,) = [entry for entry in gcs.log() if "download" in entry["path"]]
    assert int(read["range"].removeprefix("bytes=").removesuffix("-")) > 0
    assert (tmp_path / "back").read_bytes() == path.read_bytes()


def test_a_part_that_was_damaged_on_disk_is_fetched_anew(gcs: StandIn, tmp_path: Path) -> None:
    path = random_file(tmp_path / "file", MIB)
    found = Uploader(gcs.client(), None, QUICK).put_once(URI, path)
    (tmp_path / f".back.{found.generation}.part").write_bytes(b"x" * 1000)
    Downloader(gcs.client(), QUICK).fetch(found, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == path.read_bytes()


def test_bytes_that_do_not_fit_never_appear(gcs: StandIn, tmp_path: Path) -> None:
    from dataclasses import replace

    path = random_file(tmp_path / "file", MIB)
    found = Uploader(gcs.client(), None, QUICK).put_once(URI, path)
    with pytest.raises(ContentChangedError, match=r"expected .*sha256"):
        Downloader(gcs.client(), QUICK).fetch(replace(found, sha256="0" * 64), tmp_path / "back")
    assert [item.name for item in tmp_path.iterdir() if "back" in item.name] == []


def test_waits_grow_and_end() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    waiting = Waiting(Patience(deadline_s=10, initial_s=1, maximum_s=4), sleep, lambda: now[0])
    tries = 0
    while waiting.again():
        tries += 1
    assert 3 <= tries <= 8
    assert now[0] <= 10
    waiting.progress()
    assert waiting.again()


def test_the_note_of_a_session_holds_no_bytes(gcs: StandIn, tmp_path: Path) -> None:
    path = random_file(tmp_path / "file", 2 * CHUNK_BYTES)
    gcs.fault({"match": "^PUT", "status": 503})
    with pytest.raises(UnavailableError):
        Uploader(gcs.client(), tmp_path / "work", HASTY).put_once(URI, path)
    (note,) = (tmp_path / "work").glob("*.json")
    assert set(json.loads(note.read_text())) == {"uri", "size", "crc32c", "sha256", "url"}
    assert storage_client(gcs.url).bucket("bkt").get_blob(URI.name) is None
