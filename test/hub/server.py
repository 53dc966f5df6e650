# SPDX-License-Identifier: Apache-2.0
# test/hub/server.py — a hub on this machine for the tests: repositories from a folder, a host for large files, and faults on demand.
#
# server.py ROOT prints "HUB_PORT STORE_PORT OTHER_PORT" and serves until its standard input ends. ROOT/org/name/* are the files of
# a repository; large ones (*.safetensors, *.bin, *.pth, *.npz) come from the store, another origin. A third origin is nobody's. All are
# proxies, too: what is asked of http://somewhere.else is answered as if it were here.
#
#   /_fault/NAME/COUNT[/METHOD]   the next COUNT requests (of that method) that are no controls meet this fault
#   /_random/PERCENT/SEED         so many of all requests meet some fault
#   /_speed/BYTES                 bytes a second and answer; 0: no limit
#   /_log                         what was asked, as JSON, and forgets it
import gzip
import hashlib
import http.server
import json
import pathlib
import random
import sys
import threading
import time
import urllib.parse

ROOT = pathlib.Path(sys.argv[1])
LARGE = (".safetensors", ".bin", ".pth", ".npz")
PASSING = ["drop", "short", "bytes", "whole", "other_part", "gzip", "reset", "429", "500", "502", "503", "504", "408", "page"]
LASTING = ["loop", "other_host", "401", "gated", "404", "no_hash", "wrong_size", "wrong_hash", "long", "to_plain_file"]


class State:
    lock = threading.Lock()
    faults = []          # [name, how often, of which method]
    percent, dice = 0, random.Random(0)
    speed = 0
    log = []
    ports = {}


def pick_fault(method):
    with State.lock:
        for fault in State.faults:
            if fault[1] > 0 and fault[2] in ("", method):
                fault[1] -= 1
                return fault[0]
        if State.dice.random() * 100 < State.percent:
            return State.dice.choice(PASSING + PASSING + LASTING)
    return ""


def files_of(repo):
    folder = ROOT / repo
    return {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}


def commit_of(repo):
    digest = hashlib.sha1(repo.encode())
    for name, path in files_of(repo).items():
        digest.update(name.encode() + hashlib.sha1(path.read_bytes()).digest())
    return digest.hexdigest()


def hash_of(name, content):
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    role = "hub"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer("HEAD")

    def do_GET(self):
        self.answer("GET")

    def answer(self, method):
        if self.path.startswith("http://"):
            host, _, path = self.path.removeprefix("http://").partition("/")
            self.path = "/" + path
            self.role = next((role for role, port in State.ports.items() if host == f"127.0.0.1:{port}"), "hub")
        if self.path.startswith("/_"):
            return self.control()
        with State.lock:
            State.log.append({"role": self.role, "method": method, "path": self.path, "range": self.headers.get("Range", ""),
                              "authorization": self.headers.get("Authorization", ""), "agent": self.headers.get("User-Agent", "")})
        fault = pick_fault(method)
        if self.role == "other":
            return self.send_content("anything", b"this is no file of anybody's" * 10, {}, "")
        if self.role == "store":
            path = ROOT / urllib.parse.unquote(self.path.split("?")[0])[1:]
            return self.send_content(path.name, path.read_bytes(), {}, fault) if path.is_file() else self.refuse(404, "")
        self.resolve(fault)

    def resolve(self, fault):
        parts = self.path.split("?")[0].split("/resolve/", 1)
        if len(parts) == 1:  # a plain URL
            path = ROOT / urllib.parse.unquote(self.path.split("?")[0])[1:]
            return self.send_content(path.name, path.read_bytes(), {}, fault) if path.is_file() else self.refuse(404, "")
        repo = parts[0].strip("/")
        revision, _, name = parts[1].partition("/")
        revision, name = urllib.parse.unquote(revision), urllib.parse.unquote(name)
        if repo.startswith("renamed/"):  # answered as the hub answers for repositories that were renamed
            return self.redirect(307, "/" + repo.replace("renamed/", "org/", 1) + "/resolve/" + parts[1])
        private = repo.split("/")[0] in ("private", "gated")
        if private and self.headers.get("Authorization") != "Bearer hf_test_token":
            return self.refuse(403 if repo.startswith("gated/") else 401, "GatedRepo" if repo.startswith("gated/") else "RepoNotFound")
        if not (ROOT / repo).is_dir():
            return self.refuse(404, "RepoNotFound")
        commit = commit_of(repo)
        if revision not in ("main", "a/branch", commit):
            return self.refuse(404, "RevisionNotFound")
        path = files_of(repo).get(name)
        if path is None:
            return self.refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
        content = path.read_bytes()
        size, digest = len(content), hash_of(name, content)
        if fault == "no_hash":
            digest = ""
        if fault == "wrong_hash":
            digest = hash_of(name, content + b"?")
        if fault == "wrong_size":
            size += 1 + State.dice.randrange(100)
        if fault == "huge":
            size = 10 ** 18
        headers = {"X-Repo-Commit": commit}
        if not name.endswith(LARGE):
            return self.send_content(name, content, {**headers, "ETag": f'"{digest}"'}, fault)
        headers |= {"X-Linked-Size": str(size), "X-Linked-Etag": f'"{digest}"', "ETag": '"another"'}
        if fault in ("", "no_hash", "wrong_hash", "wrong_size", "huge"):
            return self.redirect(302, f"http://127.0.0.1:{State.ports['store']}/{repo}/{urllib.parse.quote(name)}?signature=secret", headers)
        self.send_content(name, content, headers, fault)

    def send_content(self, name, content, headers, fault):
        head = self.command == "HEAD"
        if fault in ("401", "404", "408", "429", "500", "502", "503", "504"):
            return self.refuse(int(fault), "", {"Retry-After": "0"} if fault == "429" else {})
        if fault == "gated":
            return self.refuse(403, "GatedRepo")
        if fault == "reset":
            self.close_connection = True
            return None
        if fault == "loop":
            return self.redirect(302, self.path)
        if fault == "other_host":
            return self.redirect(302, f"http://127.0.0.1:{State.ports['other']}/{urllib.parse.quote(name)}", headers)
        if fault == "to_plain_file":
            return self.redirect(302, "file:///etc/passwd", headers)
        status, start, ranged = 200, 0, self.headers.get("Range", "")
        if ranged.startswith("bytes=") and fault != "whole":
            start = int(ranged[6:].split("-")[0])
            if start >= len(content):
                return self.refuse(416, "")
            status = 206
            claimed = start + 1 if fault == "other_part" else start
            headers = {**headers, "Content-Range": f"bytes {claimed}-{len(content) - 1}/{len(content)}"}
        body = bytearray(content[start:])
        if fault == "bytes" and body:
            body[State.dice.randrange(len(body))] ^= 1 + State.dice.randrange(255)
        if fault == "short":
            body = body[:State.dice.randrange(len(body) + 1)]
        if fault == "long":
            body += b"more"
        if fault == "page":
            status, body = 200, bytearray(b"<!DOCTYPE html><title>Please sign in to the network</title>")
        if fault == "gzip":
            body = gzip.compress(bytes(body))
            headers = {**headers, "Content-Encoding": "gzip"}
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(10 ** 18 if fault == "huge" else len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if head:
            return None
        sent = len(body) if fault != "drop" else State.dice.randrange(len(body) + 1)
        if fault == "stall":
            sent = len(body) // 2
        piece = max(1, State.speed // 50) if State.speed else len(body) or 1
        for at in range(0, sent, piece):
            self.wfile.write(body[at:min(at + piece, sent)])
            if State.speed:
                time.sleep(0.02)
        if fault == "stall":
            self.wfile.flush()
            time.sleep(3)
        if sent < len(body):
            self.close_connection = True
        return None

    def redirect(self, status, location, headers=None):
        self.send_response(status)
        for key, value in {**(headers or {}), "Location": location, "Content-Length": "0"}.items():
            self.send_header(key, value)
        self.end_headers()

    def refuse(self, status, code, headers=None):
        page = b"<html>no</html>"
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(page))}.items():
            self.send_header(key, value)
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    def control(self):
        what, *rest = self.path[2:].split("/")
        answer = {}
        with State.lock:
            if what == "fault":
                State.faults.append([rest[0], int(rest[1]), rest[2] if len(rest) > 2 else ""])
            elif what == "calm":
                State.faults, State.percent, State.speed = [], 0, 0
            elif what == "random":
                State.percent, State.dice = int(rest[0]), random.Random(int(rest[1]))
            elif what == "speed":
                State.speed = int(rest[0])
            elif what == "log":
                answer, State.log = State.log, []
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):  # whoever asked has gone away
        pass


def main():
    servers = []
    for role in ("hub", "store", "other"):
        server = Server(("127.0.0.1", 0), type(role, (Handler,), {"role": role}))
        State.ports[role] = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    print(*(State.ports[role] for role in ("hub", "store", "other")), flush=True)
    sys.stdin.read()


main()
