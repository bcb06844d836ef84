"""What the Cloud Storage stand-in answers: one function for each method of the API that the client really calls."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from finetune_assets_tests.fakes import gcs_uploads as uploads
from finetune_assets_tests.fakes.gcs_state import ApiError, GcsState, check_conditions, not_found
from finetune_assets_tests.fakes.gcs_wire import (
    Answer,
    Request,
    asked_range,
    glob_pattern,
    hashes_of,
    split_multipart,
)

PAGE = 1000

Need = Callable[[str, str], None]


class Routes:
    """The API over one state; `need(permission, resource)` raises 403 where it was taken away."""

    def __init__(self, state: GcsState, need: Need) -> None:
        self._state = state
        self._need = need
        b, o = r"/storage/v1/b/(?P<bucket>[^/]+)", r"/o/(?P<name>[^/]+)"
        self._table: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = [
            (method, re.compile(pattern), handler)
            for method, pattern, handler in (
                ("GET", r"/storage/v1/b", self._list_buckets),
                ("POST", r"/storage/v1/b", self._create_bucket),
                ("GET", b, self._get_bucket),
                ("PATCH|PUT", b, self._patch_bucket),
                ("DELETE", b, self._delete_bucket),
                ("GET", b + "/iam", self._get_policy),
                ("PUT", b + "/iam", self._set_policy),
                ("GET", b + "/iam/testPermissions", self._test_permissions),
                ("GET", r"/storage/v1/projects/(?P<project>[^/]+)/serviceAccount", self._service_account),
                ("GET", b + "/o", self._list_objects),
                ("GET", b + o, self._get_object),
                ("GET", "/download" + b + o, self._download),
                ("PATCH|PUT", b + o, self._patch_object),
                ("DELETE", b + o, self._delete_object),
                ("POST", b + o + "/compose", self._compose),
                ("POST", b + o + r"/(?:rewrite|copy)To/b/(?P<to>[^/]+)/o/(?P<target>[^/]+)", self._copy),
                ("POST", b + o + r"/moveTo/o/(?P<target>[^/]+)", self._move),
                ("POST", r"/(?:resumable/)?upload" + b + "/o", self._upload),
                ("PUT", r"/(?:resumable/)?upload" + b + "/o", self._resume),
                ("DELETE", r"/(?:resumable/)?upload" + b + "/o", self._cancel),
                ("POST|PUT|DELETE|GET", r"/(?P<bucket>[^/]{3,})/(?P<name>.+)", self._xml),
            )
        ]

    def answer(self, request: Request) -> Answer:
        for methods, pattern, handler in self._table:
            match = pattern.fullmatch(request.path)
            if match and request.method in methods.split("|"):
                named = {key: unquote(value) for key, value in match.groupdict().items()}
                return handler(request, **named)
        raise not_found(f"Not Found: {request.method} {request.path}")

    # Buckets.

    def _list_buckets(self, request: Request) -> Answer:
        self._need("storage.buckets.list", f"projects/{request.query.get('project', '')}")
        return Answer(json={"kind": "storage#buckets", "items": self._state.buckets()})

    def _create_bucket(self, request: Request) -> Answer:
        self._need("storage.buckets.create", f"projects/{request.query.get('project', '')}")
        return Answer(json=self._state.create_bucket(request.json(), request.query.get("project", "")))

    def _get_bucket(self, request: Request, bucket: str) -> Answer:
        self._need("storage.buckets.get", bucket)
        return Answer(json=self._state.bucket(bucket))

    def _patch_bucket(self, request: Request, bucket: str) -> Answer:
        self._need("storage.buckets.update", bucket)
        return Answer(json=self._state.patch_bucket(bucket, request.json()))

    def _delete_bucket(self, request: Request, bucket: str) -> Answer:
        self._need("storage.buckets.delete", bucket)
        self._state.delete_bucket(bucket)
        return Answer(204)

    def _get_policy(self, request: Request, bucket: str) -> Answer:
        self._need("storage.buckets.getIamPolicy", bucket)
        return Answer(json=self._state.policy(bucket))

    def _set_policy(self, request: Request, bucket: str) -> Answer:
        self._need("storage.buckets.setIamPolicy", bucket)
        return Answer(json=self._state.policy(bucket, request.json()))

    def _test_permissions(self, request: Request, bucket: str) -> Answer:
        self._state.bucket(bucket)
        asked = request.many.get("permissions", [])
        answer: dict[str, Any] = {"kind": "storage#testIamPermissionsResponse"}
        if held := [name for name in asked if self._holds(name, bucket)]:
            answer["permissions"] = held
        return Answer(json=answer)

    def _holds(self, permission: str, bucket: str) -> bool:
        try:
            self._need(permission, bucket)
        except ApiError as error:
            if error.status == 401:
                raise
            return False
        return True

    def _service_account(self, request: Request, project: str) -> Answer:
        return Answer(json={"email_address": "service-123456789@gs-project-accounts.iam.gserviceaccount.com"})

    # Objects.

    def _list_objects(self, request: Request, bucket: str) -> Answer:
        self._need("storage.objects.list", bucket)
        query = request.query
        limit = min(int(query.get("maxResults", PAGE)), PAGE)
        delimiter, prefix = query.get("delimiter", ""), query.get("prefix", "")
        wanted = glob_pattern(query["matchGlob"]) if "matchGlob" in query else None
        start = max(query.get("startOffset", ""), query.get("pageToken", ""))
        end = query.get("endOffset", "")
        items: list[dict[str, Any]] = []
        prefixes: list[str] = []
        token = ""
        for name, resource in self._state.list(bucket, prefix, start):
            if (end and name >= end) or (wanted and not wanted.fullmatch(name)):
                continue
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            folder = name[: cut + len(delimiter)] if cut >= 0 else ""
            if folder and folder in prefixes:
                continue
            if len(items) + len(prefixes) >= limit:
                token = name
                break
            if folder:
                prefixes.append(folder)
            else:
                items.append(resource)
        answer: dict[str, Any] = {"kind": "storage#objects"}
        answer.update({key: value for key, value in (("items", items), ("prefixes", prefixes)) if value})
        if token:
            answer["nextPageToken"] = token
        return Answer(json=answer)

    def _get_object(self, request: Request, bucket: str, name: str) -> Answer:
        if request.query.get("alt") == "media":
            return self._download(request, bucket, name)
        self._need("storage.objects.get", f"{bucket}/{name}")
        return Answer(json=self._state.get(bucket, name, request.query)[0])

    def _download(self, request: Request, bucket: str, name: str) -> Answer:
        self._need("storage.objects.get", f"{bucket}/{name}")
        resource, path = self._state.get(bucket, name, request.query)
        size = int(resource["size"])
        hashes = f"crc32c={resource['crc32c']}" + (f",md5={resource['md5Hash']}" if "md5Hash" in resource else "")
        headers = {
            "Content-Type": resource.get("contentType", "application/octet-stream"),
            "x-goog-hash": hashes,
            "x-goog-generation": resource["generation"],
            "x-goog-metageneration": resource["metageneration"],
            "x-goog-stored-content-length": resource["size"],
            "x-goog-stored-content-encoding": resource.get("contentEncoding", "identity"),
            "x-goog-storage-class": resource["storageClass"],
            "ETag": resource["etag"],
            "Accept-Ranges": "bytes",
        }
        asked = asked_range(request.headers.get("Range", ""), size)
        if asked is None:
            return Answer(headers=headers, file=path, length=size)
        first, last = asked
        if first >= size:
            error = ApiError(416, "The requested range cannot be satisfied.", "requestedRangeNotSatisfiable")
            return Answer(416, error.body(), headers={"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        return Answer(206, headers=headers, file=path, first=first, length=last - first + 1)

    def _patch_object(self, request: Request, bucket: str, name: str) -> Answer:
        self._need("storage.objects.update", f"{bucket}/{name}")
        return Answer(json=self._state.patch(bucket, name, request.json(), request.query))

    def _delete_object(self, request: Request, bucket: str, name: str) -> Answer:
        self._need("storage.objects.delete", f"{bucket}/{name}")
        self._state.delete(bucket, name, request.query)
        return Answer(204)

    def _compose(self, request: Request, bucket: str, name: str) -> Answer:
        self._need_write(bucket, name)
        wanted = request.json()
        parts = wanted.get("sourceObjects", [])
        if not 1 <= len(parts) <= 32:
            raise ApiError(400, "The number of source components must be between 1 and 32.", "invalid")
        files, components = [], 0
        for part in parts:
            query = {"generation": str(part["generation"])} if part.get("generation") else {}
            query.update({key: str(value) for key, value in part.get("objectPreconditions", {}).items()})
            resource, path = self._state.get(bucket, part["name"], query)
            files.append(path.name)
            components += resource.get("componentCount", 1)
        metadata = {**wanted.get("destination", {}), "name": name}
        file = uploads.join(self._state, files)
        return Answer(json=self._state.commit(bucket, metadata, file, request.query, components=components))

    def _copy(self, request: Request, bucket: str, name: str, to: str, target: str) -> Answer:
        self._need("storage.objects.get", f"{bucket}/{name}")
        self._need_write(to, target)
        query = request.query
        asked = {"generation": query["sourceGeneration"]} if "sourceGeneration" in query else {}
        resource, path = self._state.get(bucket, name, asked)
        source = {key.replace("ifSource", "if"): value for key, value in query.items() if key.startswith("ifSource")}
        check_conditions(source, resource)
        metadata = {**resource, **request.json(), "name": target}
        copied = self._state.commit(
            to,
            {key: value for key, value in metadata.items() if key not in {"crc32c", "md5Hash"}},
            uploads.join(self._state, [path.name]),
            query,
            components=resource.get("componentCount"),
        )
        if "/copyTo/" in request.path:
            return Answer(json=copied)
        size = copied["size"]
        done = {"kind": "storage#rewriteResponse", "done": True, "totalBytesRewritten": size, "objectSize": size}
        return Answer(json={**done, "resource": copied})

    def _move(self, request: Request, bucket: str, name: str, target: str) -> Answer:
        self._copy(request, bucket, name, bucket, target)
        self._state.delete(bucket, name, {})
        return Answer(json=self._state.get(bucket, target, {})[0])

    def _need_write(self, bucket: str, name: str) -> None:
        self._need("storage.objects.create", f"{bucket}/{name}")

    # Uploads.

    def _upload(self, request: Request, bucket: str) -> Answer:
        kind = request.query.get("uploadType")
        if kind == "resumable":
            return self._start(request, bucket)
        if kind == "multipart":
            metadata, data = split_multipart(request)
        elif kind == "media":
            metadata, data = {"contentType": request.headers.get("Content-Type")}, request.body()
        else:
            raise ApiError(400, f"Unknown uploadType {kind}", "badRequest")
        metadata = {**metadata, **hashes_of(request)}
        metadata["name"] = metadata.get("name") or request.query.get("name", "")
        self._require_name(metadata["name"])
        self._need_write(bucket, metadata["name"])
        self._state.bucket(bucket)
        return Answer(json=self._state.commit(bucket, metadata, self._state.keep(data), request.query))

    def _start(self, request: Request, bucket: str) -> Answer:
        metadata = request.json()
        metadata["name"] = metadata.get("name") or request.query.get("name", "")
        metadata.setdefault("contentType", request.headers.get("X-Upload-Content-Type"))
        self._require_name(metadata["name"])
        self._need_write(bucket, metadata["name"])
        upload = uploads.start_resumable(self._state, bucket, metadata, request.query)
        place = f"http://{request.host}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={upload}"
        return Answer(headers={"Location": place, "X-GUploader-UploadID": upload})

    @staticmethod
    def _require_name(name: str) -> None:
        if not 1 <= len(name.encode()) <= 1024 or "\r" in name or "\n" in name:
            raise ApiError(400, f"Invalid object name: '{name[:80]}'", "invalid")

    def _resume(self, request: Request, bucket: str) -> Answer:
        content_range = request.headers.get("Content-Range", "")
        upload = request.query.get("upload_id", "")
        progress = uploads.resume(self._state, upload, content_range, request.blocks(), hashes_of(request))
        if progress.resource is not None:
            return Answer(json=progress.resource)
        return Answer(308, headers={"Range": f"bytes=0-{progress.kept - 1}"} if progress.kept else {})

    def _cancel(self, request: Request, bucket: str) -> Answer:
        uploads.cancel(self._state, request.query.get("upload_id", ""))
        return Answer(499)

    def _xml(self, request: Request, bucket: str, name: str) -> Answer:
        """Answer the XML API: multipart uploads, and plain reads."""
        if request.method == "GET":
            return self._download(request, bucket, name)
        self._need_write(bucket, name)
        upload = request.query.get("uploadId", "")
        if request.method == "POST" and "uploads" in request.query:
            metadata: dict[str, Any] = {"name": name, "contentType": request.headers.get("Content-Type")}
            match = request.headers.get("x-goog-if-generation-match")
            data = uploads.start_parts(self._state, bucket, metadata, {"ifGenerationMatch": match} if match else {})
            return Answer(data=data, headers={"Content-Type": "application/xml"})
        if request.method == "PUT" and upload:
            etag, crc32c, md5 = uploads.put_part(self._state, upload, int(request.query["partNumber"]), request.body())
            return Answer(headers={"ETag": etag, "x-goog-hash": f"crc32c={crc32c},md5={md5}"})
        if request.method == "POST" and upload:
            data, resource = uploads.finish_parts(self._state, upload, request.body())
            headers = {"Content-Type": "application/xml", "x-goog-generation": resource["generation"]}
            return Answer(data=data, headers={**headers, "x-goog-hash": f"crc32c={resource['crc32c']}"})
        if request.method == "DELETE" and upload:
            uploads.abort_parts(self._state, upload)
            return Answer(204)
        raise ApiError(400, "This request of the XML API is not known to the stand-in.", "invalid")
