"""A small Hub on loopback: data sets and models with commits, tokens and faults, for the Hub's real client.

What is uploaded comes by the protocol of git's large-file storage, which the client speaks where Xet is switched off.
"""

import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

TOKEN = "hf_reader"
WRITER = "hf_writer"
"""May also write, to the data sets of :data:`OWNER`."""

OWNER = "someone"
LARGE = (".arrow", ".parquet", ".tar")
"""Files that a Hub keeps in large-file storage: their version is a SHA-256, and they come from another address."""

_API = re.compile(
    r"/api/(datasets|models)/(?P<id>[^/]+/[^/]+)(/(?P<what>revision|tree)/(?P<rev>[^/]+)(/(?P<path>.*))?)?"
)
_RESOLVE = re.compile(r"(/datasets)?/(?P<id>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)")
_LARGE = re.compile(r"/large/(?P<id>[^/]+/[^/]+)/(?P<rev>[^/]+)/(?P<path>.+)")
_WRITE = re.compile(r"/api/datasets/(?P<id>[^/]+/[^/]+)/(?P<what>preupload|commit)/(?P<rev>[^/]+)")
_BATCH = re.compile(r"/datasets/(?P<id>[^/]+/[^/]+)\.git/info/lfs/objects/(?P<what>batch|verify)")
_STORE = re.compile(r"/store/(?P<oid>[0-9a-f]{64})")


@dataclass
class Fault:
    """What happens to one request for a file's content, instead of the content."""

    status: int | None = None  # answer this, and no content
    headers: dict[str, str] = field(default_factory=dict)
    drop_after: int | None = None  # bytes of the body, then the connection breaks
    bytes_per_s: float | None = None  # a slow line
    silent_s: float = 0  # between headers and body


@dataclass
class Request:
    """One request that came, and what went back."""

    method: str
    path: str  # of the URL
    file: str | None  # in the data set, for a request for content
    start: int  # first byte asked for
    token: str | None
    at: float  # seconds, monotonic
    body: bytes = field(default=b"", repr=False)  # that came with it, whole
    status: int = 0
    sent_bytes: int = 0


@dataclass
class _File:
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def blob_id(self) -> str:
        return hashlib.sha1(f"blob {len(self.content)}\0".encode() + self.content).hexdigest()


class HubServer:
    """Data sets, served at :attr:`url`; the tests put them there and plan what goes wrong."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.page_entries = 3  # few, so that listings have several pages
        self._commits: dict[tuple[str, str], dict[str, _File]] = {}
        self._refs: dict[tuple[str, str], str] = {}
        self._closed: dict[str, str] = {}
        self._faults: dict[str, list[Fault]] = {}
        self._stored: dict[str, bytes] = {}  # large files by their SHA-256, in a commit or not
        self._lock = threading.Lock()
        self._server = _Server(self)

    @property
    def url(self) -> str:
        """Where it listens: the value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def commit(self, dataset_id: str, files: Path | dict[str, bytes], branch: str = "main") -> str:
        """Make ``files``, a folder or contents by path, the newest commit of a branch; return its id."""
        if isinstance(files, Path):
            files = {p.relative_to(files).as_posix(): p.read_bytes() for p in files.rglob("*") if p.is_file()}
        contents = {path: _File(content) for path, content in files.items()}
        listed = "".join(f"{path} {file.blob_id}\n" for path, file in sorted(contents.items()))
        commit = hashlib.sha1(listed.encode()).hexdigest()
        self._commits[dataset_id, commit] = contents
        self._refs[dataset_id, branch] = commit
        return commit

    def close_off(self, dataset_id: str, how: str) -> None:
        """Let in only who shows :data:`TOKEN` (``how="private"``), or nobody (``how="gated"``)."""
        self._closed[dataset_id] = how

    def files(self, dataset_id: str, branch: str = "main") -> dict[str, bytes]:
        """Return the files of a branch's newest commit."""
        return {path: file.content for path, file in self._commits[dataset_id, self._refs[dataset_id, branch]].items()}

    def is_private(self, dataset_id: str) -> bool:
        """Return whether only those with a token see a data set."""
        return self._closed.get(dataset_id) == "private"

    def uploads(self) -> list[Request]:
        """Return the requests that brought the content of large files, so far."""
        return [request for request in self.requests if request.method == "PUT"]

    def plan(self, file: str, *faults: Fault) -> None:
        """Let the next requests for the content of ``file`` meet ``faults``, one each.

        ``file`` is a path in a data set, or the SHA-256, in hex, of a large file that will be uploaded.
        """
        self._faults.setdefault(file, []).extend(faults)

    def content_requests(self, file: str) -> list[Request]:
        """Return the requests for the content of ``file`` so far."""
        return [request for request in self.requests if request.file == file and request.method == "GET"]

    def reset(self) -> None:
        """Forget data sets, faults and requests."""
        for state in (self.requests, self._commits, self._refs, self._closed, self._faults, self._stored):
            state.clear()

    def _next_fault(self, file: str) -> Fault:
        with self._lock:
            planned = self._faults.get(file, [])
            return planned.pop(0) if planned else Fault()

    def _find(self, dataset_id: str, revision: str | None) -> tuple[str, dict[str, _File]] | None:
        revision = unquote(revision or "main")
        commit = self._refs.get((dataset_id, revision), revision)
        files = self._commits.get((dataset_id, commit))
        return None if files is None else (commit, files)


@contextmanager
def serve() -> Iterator[HubServer]:
    """Run a server for the length of a ``with`` block."""
    hub = HubServer()
    thread = threading.Thread(target=hub._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub._server.shutdown()
        hub._server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: HubServer):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._receive()

    def do_PUT(self) -> None:
        self._receive()

    def _note(self, body: bytes = b"") -> str:
        """Note the request; return the path of its URL."""
        path = urlsplit(self.path).path
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.request_seen = Request(self.command, path, None, start, token, time.monotonic(), body)
        self.server.hub.requests.append(self.request_seen)
        return path

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        pieces = []
        while length := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _receive(self) -> None:
        """Answer a request that wants to write."""
        hub, body = self.server.hub, self._body()
        path = self._note(body)
        if match := _STORE.fullmatch(path):
            return self._store(match["oid"], body)  # signed addresses of a store: no token is asked for
        if path == "/api/validate-yaml":
            return self._json({"warnings": [], "errors": []})
        if path == "/api/repos/create":
            asked = json.loads(body)
            dataset_id = f"{asked['organization']}/{asked['name']}"
            if self._may_write(dataset_id):
                self._create(dataset_id, asked)
            return
        match = _WRITE.fullmatch(path) or _BATCH.fullmatch(path)
        if match is None:
            return self._refuse(404, "", "no such page")
        if not self._may_write(match["id"]):
            return
        found = hub._find(match["id"], "main")
        if found is None:
            return self._refuse(404, "RepoNotFound", "Repository not found")
        if match["what"] == "commit":
            return self._commit(match["id"], *found, [json.loads(line) for line in body.splitlines()])
        if match["what"] == "batch":
            return self._batch(match["id"], json.loads(body)["objects"])
        if match["what"] == "verify":
            return self._send(200 if json.loads(body)["oid"] in hub._stored else 404, {})
        self._preupload(found[1], json.loads(body)["files"])

    def _may_write(self, dataset_id: str) -> bool:
        """Return whether the request's token may write to ``dataset_id``; refuse the request if not."""
        token = self.request_seen.token
        if token not in (TOKEN, WRITER):
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif token == TOKEN or dataset_id.split("/")[0] != OWNER:
            told = f"You don't have the rights to create a dataset under the namespace {dataset_id.split('/')[0]!r}"
            self._refuse(403, "", told)
        else:
            return True
        return False

    def _create(self, dataset_id: str, asked: dict[str, Any]) -> None:
        hub = self.server.hub
        if (dataset_id, "main") in hub._refs:
            return self._refuse(409, "", "You already created this dataset repo")
        hub.commit(dataset_id, {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"})
        if asked.get("visibility") == "private" or asked.get("private"):
            hub.close_off(dataset_id, "private")
        self._json({"url": f"{hub.url}/datasets/{dataset_id}"})

    def _preupload(self, there: dict[str, _File], files: list[dict[str, Any]]) -> None:
        answers = []
        for asked in files:
            large, known = asked["path"].endswith(LARGE), there.get(asked["path"])
            oid = None if known is None else known.sha256 if large else known.blob_id
            mode = "lfs" if large else "regular"
            answers.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._json({"files": answers})

    def _batch(self, dataset_id: str, objects: list[dict[str, Any]]) -> None:
        hub, answers = self.server.hub, []
        for asked in objects:
            answer = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in hub._stored:
                verify = f"{hub.url}/datasets/{dataset_id}.git/info/lfs/objects/verify"
                upload = f"{hub.url}/store/{asked['oid']}"
                answer["actions"] = {"upload": {"href": upload}, "verify": {"href": verify}}
            answers.append(answer)
        self._json({"transfer": "basic", "objects": answers})

    def _store(self, oid: str, body: bytes) -> None:
        fault = self.server.hub._next_fault(oid)
        time.sleep(fault.silent_s)
        if fault.status is not None:
            return self._send(fault.status, fault.headers)
        if hashlib.sha256(body).hexdigest() != oid:
            return self._refuse(400, "", "the content is not that of the digest")
        self.server.hub._stored[oid] = body
        self._send(200, {})

    def _commit(self, dataset_id: str, head: str, there: dict[str, _File], lines: list[dict[str, Any]]) -> None:
        hub = self.server.hub
        header, *operations = lines
        if header["value"].get("parentCommit") not in (None, head):
            return self._refuse(412, "", "A commit has happened since. Please refresh and try again.")
        files = {path: file.content for path, file in there.items()}
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                if value["oid"] not in hub._stored:
                    return self._refuse(400, "", f"{value['path']}: its content was not uploaded")
                files[value["path"]] = hub._stored[value["oid"]]
            elif files.pop(value["path"], None) is None:
                return self._refuse(404, "EntryNotFound", f"{value['path']}: A file with this name doesn't exist")
        commit = hub.commit(dataset_id, files)
        self._json({"commitUrl": f"{hub.url}/datasets/{dataset_id}/commit/{commit}", "commitOid": commit})

    def _answer(self) -> None:
        hub = self.server.hub
        self._note()
        url, token = urlsplit(self.path), self.request_seen.token
        if match := _LARGE.fullmatch(url.path):
            # Signed addresses of a store: no token is asked for.
            found = hub._find(match["id"], match["rev"])
            assert found is not None
            self._content(unquote(match["path"]), found[1][unquote(match["path"])])
            return
        match = _API.fullmatch(url.path) or _RESOLVE.fullmatch(url.path)
        if match is None:
            return self._refuse(404, "", "no such page")
        dataset_id = match["id"]
        known = any(name == dataset_id for name, _ in hub._refs)
        closed = hub._closed.get(dataset_id)
        if not known or (closed == "private" and token not in (TOKEN, WRITER)):
            return self._refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        if closed == "gated" and match.re is _RESOLVE:
            return self._refuse(403, "GatedRepo", f"Access to dataset {dataset_id} is restricted")
        found = hub._find(dataset_id, match["rev"])
        if found is None:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {match['rev']}")
        commit, files = found
        if match.re is _RESOLVE:
            return self._resolve(dataset_id, commit, unquote(match["path"]), files)
        if match["what"] == "tree":
            return self._tree(url.path, parse_qs(url.query), files)
        info = {"_id": "0" * 24, "id": dataset_id, "sha": commit, "private": closed == "private", "tags": []}
        return self._json(info | {"siblings": [{"rfilename": path} for path in sorted(files)]})

    def _tree(self, path: str, query: dict[str, list[str]], files: dict[str, _File]) -> None:
        entries: list[dict[str, Any]] = []
        folders = {name[:i] for name in files for i, letter in enumerate(name) if letter == "/"}
        for name in sorted({*files, *folders}):
            if name in folders:
                entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": name})
                continue
            file = files[name]
            entry = {"type": "file", "oid": file.blob_id, "size": len(file.content), "path": name}
            if name.endswith(LARGE):
                entry["lfs"] = {"oid": file.sha256, "size": len(file.content), "pointerSize": 134}
            entries.append(entry)
        first = int(query.get("cursor", ["0"])[0])
        last = first + self.server.hub.page_entries
        more = {"Link": f'<{self.server.hub.url}{path}?recursive=true&cursor={last}>; rel="next"'}
        self._json(entries[first:last], more if last < len(entries) else {})

    def _resolve(self, dataset_id: str, commit: str, path: str, files: dict[str, _File]) -> None:
        file = files.get(path)
        if file is None:
            return self._refuse(404, "EntryNotFound", f"Entry not found: {path}")
        if path.endswith(LARGE):
            store = self.server.hub.url.replace("127.0.0.1", "localhost")  # another host, as the Hub's is
            return self._send(
                302,
                {
                    "Location": f"{store}/large/{dataset_id}/{commit}/{quote(path)}",
                    "X-Repo-Commit": commit,
                    "X-Linked-Size": str(len(file.content)),
                    "X-Linked-Etag": f'"{file.sha256}"',
                },
            )
        return self._content(path, file, {"X-Repo-Commit": commit, "ETag": f'"{file.blob_id}"'})

    def _content(self, path: str, file: _File, headers: dict[str, str] | None = None) -> None:
        request = self.request_seen
        request.file = path
        fault = self.server.hub._next_fault(path) if request.method == "GET" else Fault()
        if fault.status is not None:
            return self._send(fault.status, fault.headers)
        length = len(file.content)
        if request.start >= length > 0:
            return self._send(416, {"Content-Range": f"bytes */{length}"})
        body = file.content[request.start :]
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{file.sha256}"'} | (headers or {}) | fault.headers
        if "Range" in self.headers:
            headers["Content-Range"] = f"bytes {request.start}-{length - 1}/{length}"
        self._send(206 if "Range" in self.headers else 200, headers, body, fault)

    def _json(self, data: Any, headers: dict[str, str] | None = None) -> None:
        self._send(200, {"Content-Type": "application/json"} | (headers or {}), json.dumps(data).encode())

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, {"X-Error-Code": code, "X-Error-Message": message})

    def _send(self, status: int, headers: dict[str, str], body: bytes = b"", fault: Fault | None = None) -> None:
        self.request_seen.status = status
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        fault = fault or Fault()
        cut = len(body) if fault.drop_after is None else fault.drop_after
        step = cut if fault.bytes_per_s is None else max(1, int(fault.bytes_per_s / 50))
        try:
            if fault.silent_s:
                self.wfile.flush()
                time.sleep(fault.silent_s)
            for at in range(0, cut, step or 1):
                piece = body[at : min(at + step, cut)]
                self.wfile.write(piece)
                self.request_seen.sent_bytes += len(piece)
                if fault.bytes_per_s is not None:
                    time.sleep(0.02)
            if fault.drop_after is not None:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
        except OSError:
            self.close_connection = True  # the client has gone, as one that was killed
