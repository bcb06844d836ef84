"""The Cloud Storage stand-in holds its contract with the real client."""

from __future__ import annotations

import base64
import io
import os
import random
from pathlib import Path

import google_crc32c
import pytest
from google.api_core.exceptions import BadRequest, Conflict, Forbidden, NotFound, PreconditionFailed, Unauthorized
from google.auth.exceptions import InvalidOperation
from google.cloud.storage import transfer_manager
from google.cloud.storage.retry import DEFAULT_RETRY

from finetune_assets_tests.fakes.fixtures import StandIn, running_gcs


def crc(data: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


def put(gcs: StandIn, name: str, data: bytes, **more: object):
    blob = gcs.client().bucket("bkt").blob(name)
    blob.upload_from_string(data, **more)
    return blob


def test_a_bucket_is_made_once_and_found(gcs: StandIn) -> None:
    client = gcs.client()
    assert client.get_bucket("bkt").location == "US-CENTRAL1"
    assert client.lookup_bucket("nobody") is None
    with pytest.raises(Conflict):
        client.create_bucket("bkt")
    assert [bucket.name for bucket in client.list_buckets()] == ["bkt"]
    with pytest.raises(NotFound, match="bucket does not exist"):
        client.bucket("nobody").blob("a").upload_from_string(b"x")


def test_what_is_uploaded_comes_back(gcs: StandIn) -> None:
    data = random.Random(1).randbytes(100_000)
    blob = put(gcs, "a/ü b#?.bin", data, content_type="application/x-thing")
    found = gcs.client().bucket("bkt").get_blob("a/ü b#?.bin")
    assert found.download_as_bytes() == data
    assert (found.size, found.crc32c, found.metageneration) == (len(data), crc(data), 1)
    assert found.content_type == "application/x-thing"
    assert found.generation == blob.generation
    assert found.download_as_bytes(start=10, end=19) == data[10:20]


def test_bytes_that_look_like_the_boundary_are_kept(gcs: StandIn) -> None:
    data = b"\r\n--==\r\n--==123==\r\n\r\n"
    assert put(gcs, "odd", data).download_as_bytes() == data
    assert put(gcs, "empty", b"").download_as_bytes() == b""


def test_preconditions_hold_on_every_method(gcs: StandIn) -> None:
    blob = put(gcs, "one", b"1", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        put(gcs, "one", b"2", if_generation_match=0)
    first = blob.generation
    put(gcs, "one", b"2", if_generation_match=first)
    assert gcs.client().bucket("bkt").blob("one", generation=first).exists() is False
    fresh = gcs.client().bucket("bkt").get_blob("one")
    with pytest.raises(PreconditionFailed):
        fresh.delete(if_generation_match=first)
    with pytest.raises(PreconditionFailed):
        fresh.reload(if_metageneration_match=7)
    fresh.metadata = {"a": "b"}
    with pytest.raises(PreconditionFailed):
        fresh.patch(if_metageneration_match=9)
    fresh.patch(if_metageneration_match=1)
    assert fresh.metageneration == 2
    fresh.delete(if_generation_match=fresh.generation)
    assert not fresh.exists()


def test_a_hold_keeps_an_object(gcs: StandIn) -> None:
    blob = put(gcs, "held", b"1")
    blob.temporary_hold = True
    blob.patch()
    with pytest.raises(Forbidden):
        blob.delete()


def test_wrong_checksums_are_refused(gcs: StandIn) -> None:
    blob = gcs.client().bucket("bkt").blob("bad")
    blob.crc32c = crc(b"other")
    with pytest.raises(BadRequest, match="crc32c"):
        blob.upload_from_string(b"these", checksum=None)
    assert not blob.exists()


def test_listing_has_prefixes_delimiters_pages_and_globs(gcs: StandIn) -> None:
    for name in ("a/1", "a/2", "a/b/3", "c/4", "z"):
        put(gcs, name, b"x")
    client = gcs.client()
    assert [blob.name for blob in client.list_blobs("bkt", page_size=2)] == ["a/1", "a/2", "a/b/3", "c/4", "z"]
    listing = client.list_blobs("bkt", prefix="a/", delimiter="/")
    assert [blob.name for blob in listing] == ["a/1", "a/2"]
    assert listing.prefixes == {"a/b/"}
    assert [blob.name for blob in client.list_blobs("bkt", match_glob="a/**")] == ["a/1", "a/2", "a/b/3"]
    assert [blob.name for blob in client.list_blobs("bkt", match_glob="*/{1,4}")] == ["a/1", "c/4"]
    assert [blob.name for blob in client.list_blobs("bkt", start_offset="c", end_offset="z")] == ["c/4"]


def test_compose_copy_and_move(gcs: StandIn) -> None:
    bucket = gcs.client().bucket("bkt")
    parts = [put(gcs, "p1", b"one"), put(gcs, "p2", b"two")]
    whole = bucket.blob("whole")
    whole.compose(parts, if_generation_match=0)
    assert whole.download_as_bytes() == b"onetwo"
    assert (whole.component_count, whole.md5_hash) == (2, None)
    with pytest.raises(PreconditionFailed):
        bucket.blob("whole").compose(parts, if_generation_match=0)
    copy = bucket.copy_blob(parts[0], bucket, "copy", if_generation_match=0)
    assert copy.download_as_bytes() == b"one"
    rewritten = bucket.blob("rewritten")
    assert rewritten.rewrite(parts[1])[0] is None
    bucket.rename_blob(parts[1], "moved")
    assert sorted(blob.name for blob in bucket.list_blobs()) == ["copy", "moved", "p1", "rewritten", "whole"]


def test_resumable_uploads_of_the_client(gcs: StandIn) -> None:
    data = random.Random(2).randbytes((1 << 20) + 77)
    blob = gcs.client().bucket("bkt").blob("big", chunk_size=256 << 10)
    blob.upload_from_file(io.BytesIO(data), if_generation_match=0)
    assert blob.download_as_bytes() == data
    ranges = [entry["range"] for entry in gcs.log() if entry["method"] == "PUT"]
    assert len(ranges) == 5
    with pytest.raises(PreconditionFailed):
        blob.upload_from_file(io.BytesIO(data), if_generation_match=0)


def test_the_client_resumes_after_a_cut_in_the_middle(gcs: StandIn) -> None:
    gcs.fault({"match": "^PUT /upload", "cut": "mid_body", "skip": 1, "times": 2})
    data = random.Random(3).randbytes(4 << 20)
    blob = gcs.client().bucket("bkt").blob("big", chunk_size=1 << 20)
    blob.upload_from_file(io.BytesIO(data), if_generation_match=0, retry=DEFAULT_RETRY)
    assert blob.download_as_bytes() == data


def test_a_download_that_breaks_off_is_resumed_by_the_client(gcs: StandIn) -> None:
    data = random.Random(4).randbytes(1 << 20)
    blob = put(gcs, "big", data)
    gcs.fault({"match": "^GET /download", "cut": "mid_body", "times": 2})
    assert blob.download_as_bytes() == data


def test_multipart_of_the_xml_api(gcs: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(random.Random(5).randbytes((12 << 20) + 5))
    blob = gcs.client().bucket("bkt").blob("dir/in parts")
    transfer_manager.upload_chunks_concurrently(
        str(path), blob, chunk_size=5 << 20, worker_type=transfer_manager.THREAD, max_workers=3
    )
    blob.reload()
    assert blob.component_count == 3
    assert blob.crc32c == crc(path.read_bytes())
    assert blob.download_as_bytes() == path.read_bytes()


def test_permissions_can_be_taken_away(gcs: StandIn) -> None:
    bucket = gcs.client().bucket("bkt")
    asked = ["storage.objects.create", "storage.objects.get"]
    assert bucket.test_iam_permissions(asked) == asked
    gcs.deny("storage.objects.create", principal="me@x.iam.gserviceaccount.com")
    assert bucket.test_iam_permissions(asked) == ["storage.objects.get"]
    with pytest.raises(Forbidden, match=r"me@x.* does not have storage.objects.create access"):
        put(gcs, "a", b"1")
    gcs.deny(unauthenticated=True)
    with pytest.raises((Unauthorized, InvalidOperation)):
        put(gcs, "a", b"1")
    gcs.deny()
    put(gcs, "a", b"1")
    assert list(bucket.get_iam_policy().bindings) == []


def test_a_lost_answer_leaves_the_object(gcs: StandIn) -> None:
    gcs.fault({"match": "^POST /upload", "cut": "after_commit", "times": 1})
    with pytest.raises(PreconditionFailed):
        put(gcs, "once", b"1", if_generation_match=0)
    assert gcs.client().bucket("bkt").get_blob("once").download_as_bytes() == b"1"


def test_planned_statuses_are_retried_by_the_client(gcs: StandIn) -> None:
    gcs.fault({"match": "^POST /upload", "status": 503, "times": 1}, {"match": "^POST", "status": 429, "times": 1})
    put(gcs, "a", b"1")
    assert [entry["status"] for entry in gcs.log() if entry["method"] == "POST"][-3:] == [503, 429, 200]


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    with running_gcs(tmp_path / "gcs") as server:
        server.bucket("bkt")
        written = {}
        for round_ in range(3):
            bucket = server.client().bucket("bkt")
            for number in range(10):
                data = os.urandom(1000)
                bucket.blob(f"{round_}/{number}").upload_from_string(data)
                written[f"{round_}/{number}"] = data
            server.kill()
            server.start()
        found = {blob.name: blob.download_as_bytes() for blob in server.client().list_blobs("bkt")}
        assert found == written


def test_a_resumable_upload_outlives_the_server(tmp_path: Path) -> None:
    data = random.Random(6).randbytes(2 << 20)
    with running_gcs(tmp_path / "gcs") as server:
        server.bucket("bkt")
        blob = server.client().bucket("bkt").blob("big")
        place = blob.create_resumable_upload_session(size=len(data), if_generation_match=0)
        session = server.client()._http
        answer = session.put(place, data=data[: 1 << 20], headers={"Content-Range": f"bytes 0-1048575/{len(data)}"})
        assert (answer.status_code, answer.headers["Range"]) == (308, "bytes=0-1048575")
        server.kill()
        server.start()
        answer = session.put(place, headers={"Content-Range": f"bytes */{len(data)}"})
        assert (answer.status_code, answer.headers["Range"]) == (308, "bytes=0-1048575")
        rest = {"Content-Range": f"bytes 1048576-{len(data) - 1}/{len(data)}"}
        assert session.put(place, data=data[1 << 20 :], headers=rest).status_code == 200
        again = session.put(place, headers={"Content-Range": f"bytes */{len(data)}"})
        assert (again.status_code, again.json()["size"]) == (200, str(len(data)))
        assert blob.download_as_bytes() == data
