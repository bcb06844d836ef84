"""Secrets, with the real Secret Manager client over loopback."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import secretmanager

from finetune_assets.training.container.errors import BadJobError
from finetune_assets.training.container.secrets import fetch_secret, find_secrets

REFERENCE = "projects/p/secrets/hf-token/versions/1"


@contextmanager
def secret_manager(status, body):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            data = json.dumps(body).encode()
            self.send_response(status if self.path.startswith(f"/v1/{REFERENCE}:access") else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield secretmanager.SecretManagerServiceClient(
            transport="rest",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": f"http://127.0.0.1:{server.server_port}"},
        )
    finally:
        server.shutdown()
        server.server_close()


def test_a_secret_is_read_by_its_reference():
    body = {"name": REFERENCE, "payload": {"data": base64.b64encode(b"hf_x\n").decode()}}
    with secret_manager(200, body) as client:
        assert fetch_secret(REFERENCE, client) == "hf_x"


@pytest.mark.parametrize(("status", "mend"), [(403, "roles/secretmanager.secretAccessor"), (404, "its version")])
def test_a_refusal_says_what_to_grant(status, mend):
    body = {"error": {"code": status, "message": "hf_leaked", "status": "PERMISSION_DENIED"}}
    with secret_manager(status, body) as client, pytest.raises(BadJobError, match=mend) as caught:
        fetch_secret(REFERENCE, client)
    assert REFERENCE in str(caught.value)
    assert "hf_leaked" not in str(caught.value)


def test_the_environment_comes_first_and_nothing_unwanted_is_asked_for():
    asked = []

    def fetch(reference):
        asked.append(reference)
        return "fetched"

    environ = {"HF_TOKEN": "mine", "WANDB_API_KEY": "unwanted"}
    assert find_secrets({"HF_TOKEN": REFERENCE}, environ, fetch) == {"HF_TOKEN": "mine"}
    assert find_secrets({"HF_TOKEN": REFERENCE, "WANDB_API_KEY": None}, {}, fetch) == {"HF_TOKEN": "fetched"}
    assert asked == [REFERENCE]
