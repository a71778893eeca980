"""FAKES of the clouds' REST interfaces, written from their reference pages: no emulator of these exists.

GCP: OAuth token endpoint (JWT bearer grant) and Secret Manager `versions.access`. Azure: App Service's managed identity
and Key Vault `Get Secret`. Kubernetes: TokenReview, which OpenBao's Kubernetes login asks. They check what a real one
checks of a request, and answer in its shape.
"""

import base64
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any]


class CloudFake:
    """One fake cloud. `secrets` by the name that its paths have; `requests` are the paths asked."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.requests: list[str] = []
        self.tokens = 0
        self.deny = False
        self.origin = ""

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        raise NotImplementedError


class FakeGcp(CloudFake):
    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path == "/token":
            form = urllib.parse.parse_qs(body.decode())
            if form["grant_type"] != ["urn:ietf:params:oauth:grant-type:jwt-bearer"]:
                return 400, {"error": "unsupported_grant_type"}
            claims = json.loads(base64.urlsafe_b64decode(form["assertion"][0].split(".")[1] + "=="))
            if "cloud-platform" not in claims["scope"]:
                return 400, {"error": "invalid_scope"}
            self.tokens += 1
            return 200, {"access_token": f"gcp-{self.tokens}", "expires_in": 3600, "token_type": "Bearer"}
        if self.deny:
            message = f"Permission denied, value {next(iter(self.secrets.values()), '')}"
            return 403, {"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED"}}
        if headers.get("authorization") != f"Bearer gcp-{self.tokens}":
            return 401, {"error": {"code": 401, "message": "no", "status": "UNAUTHENTICATED"}}
        name = path.removeprefix("/v1/").removesuffix(":access")
        if method != "GET" or not path.endswith(":access") or name not in self.secrets:
            return 404, {"error": {"code": 404, "message": f"Secret [{name}] not found", "status": "NOT_FOUND"}}
        data = base64.b64encode(self.secrets[name].encode()).decode()
        return 200, {"name": name.replace("latest", "1"), "payload": {"data": data, "dataCrc32c": "1"}}


class FakeAzure(CloudFake):
    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        url = urllib.parse.urlsplit(path)
        query = urllib.parse.parse_qs(url.query)
        if url.path == "/identity":
            if headers.get("x-identity-header") != "identity-header-of-the-test":
                return 401, {"error": "unauthorized"}
            assert query["resource"] == ["https://vault.azure.net"], query
            self.tokens += 1
            token = {"access_token": f"azure-{self.tokens}", "expires_on": "4102444800", "token_type": "Bearer"}
            return 200, {**token, "resource": "https://vault.azure.net"}
        if self.deny or headers.get("authorization") != f"Bearer azure-{self.tokens}":
            return 403, {"error": {"code": "Forbidden", "message": f"value {self.secrets}"}}
        if not query.get("api-version"):
            return 400, {"error": {"code": "BadParameter", "message": "api-version"}}
        name = url.path.removeprefix("/secrets/")
        if name not in self.secrets:
            return 404, {"error": {"code": "SecretNotFound", "message": f"(name/id) {name} was not found"}}
        address = f"https://acme.vault.azure.net/secrets/{name}/1"
        return 200, {"value": self.secrets[name], "id": address, "attributes": {"enabled": True}}


class FakeTokenReview(CloudFake):
    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        assert (method, path) == ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"), path
        token = json.loads(body)["spec"]["token"]
        review: dict[str, Any] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        if token != self.secrets["token"]:
            return 201, {**review, "status": {"authenticated": False, "error": "unknown token"}}
        user = {"username": "system:serviceaccount:llm:gateway", "uid": "u-1", "groups": ["system:serviceaccounts"]}
        return 201, {**review, "status": {"authenticated": True, "user": user}}


@contextmanager
def cloud(fake: CloudFake) -> Iterator[None]:
    """The fake answers at `fake.origin` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            fake.requests.append(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = fake.answer(self.command, self.path, headers, body)
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_POST = do_GET  # noqa: N815 - the base class wants this name

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.origin = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
