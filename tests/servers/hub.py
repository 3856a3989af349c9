"""A stand-in for the Hugging Face Hub on this machine."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Hub(ThreadingHTTPServer):
    """The hub's endpoints that an upload needs; what a repository is called decides how it is answered."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.created: list[dict] = []
        self.blobs: dict[str, bytes] = {}
        self.commits: dict[str, dict[str, bytes]] = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.body()
        hub = self.server
        match self.path.strip("/").split("/"):
            case _ if self.headers.get("Authorization") != "Bearer hf_valid":
                self.reply(401, {"error": "Invalid username or password."})
            case ["api", "repos", "create"]:
                wanted = json.loads(body)
                name = f"{wanted['organization']}/{wanted['name']}"
                known = any(repo["name"] == wanted["name"] for repo in hub.created)
                hub.created.append(wanted)
                if wanted["organization"] == "others":
                    self.reply(403, {"error": "You don't have the rights."})
                else:
                    kind = "datasets/" if wanted.get("type") == "dataset" else ""
                    self.reply(409 if known else 200, {"url": f"{hub.url}/{kind}{name}"})
            case ["api", "validate-yaml"]:
                self.reply(200, {"errors": [], "warnings": []})
            case ["api", _, _, "broken", "preupload", "main"]:
                self.reply(418, {"error": "The disk is full here."})
            case ["api", _, _, _, "preupload", "main"]:
                paths = [file["path"] for file in json.loads(body)["files"]]
                modes = {
                    path: "lfs" if path.endswith((".parquet", ".png", ".safetensors")) else "regular" for path in paths
                }
                files = [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()]
                self.reply(200, {"files": files})
            case [*_, "info", "lfs", "objects", "batch"]:
                objects = json.loads(body)["objects"]
                for item in objects:
                    item["actions"] = {"upload": {"href": f"{hub.url}/blobs/{item['oid']}"}}
                self.reply(200, {"transfer": "basic", "objects": objects})
            case ["api", kind, owner, name, "commit", "main"]:
                files = {}
                for line in map(json.loads, body.splitlines()):
                    value = line["value"]
                    if line["key"] == "file":
                        files[value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "lfsFile":
                        files[value["path"]] = hub.blobs[value["oid"]]
                hub.commits[f"{owner}/{name}"] = files
                self.reply(200, {"commitUrl": f"{hub.url}/{kind}/{owner}/{name}/commit/1", "commitOid": "1" * 40})
            case _:
                self.reply(404, {"error": "Not found"})

    def do_PUT(self):
        body = self.body()
        self.server.blobs[hashlib.sha256(body).hexdigest()] = body
        self.reply(200, {})

    def do_GET(self):
        self.reply(404, {"error": "Repository not found"})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        chunks = b""
        while size := int(self.rfile.readline(), 16):
            chunks += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return chunks

    def reply(self, status, content):
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@contextmanager
def serving() -> Iterator[Hub]:
    with Hub() as hub:
        Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()
