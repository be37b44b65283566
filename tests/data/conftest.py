import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Server:
    """A local file server with planned faults.

    `plan` has a fault for each of the next requests: `cut` sends half the body, a number
    sends that status (in a pair with headers), `ignore` ignores the range, `shift` answers with
    another range, `short` with the first half of it. After the plan, requests are served
    correctly, with `headers` besides. `login`, if set, is the Authorization that
    is asked for. `tls` is the context to serve in.
    """

    def __init__(self, tls=None):
        self.files = {}  # path -> bytes
        self.plan = []
        self.ranges = []  # the Range header of each request
        self.redirects = {}
        self.headers = {}
        self.login = None
        self.paths = []  # of each request; of a proxy, whole URLs
        self.etag = '"one"'
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *_: None  # a client that hangs up is part of a test
        if tls:
            self.http.socket = tls.wrap_socket(
                self.http.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.http.server_port}"

    def answer(self, request):
        requested = request.headers.get("Range")
        self.ranges.append(requested)
        self.paths.append(request.path)
        fault = self.plan.pop(0) if self.plan else None
        if self.login and request.headers.get("Authorization") != self.login:
            fault = 401
        if isinstance(fault, tuple):
            return self.send_head(request, fault[0], **fault[1])
        if request.path in self.redirects:
            return self.send_head(request, 302, Location=self.redirects[request.path])
        content = self.files.get(request.path)
        if isinstance(fault, int) or content is None:
            return request.send_error(fault if isinstance(fault, int) else 404)
        start, end = 0, len(content)
        if requested and fault != "ignore" and request.headers.get("If-Range") == self.etag:
            start = int(requested.removeprefix("bytes=").removesuffix("-"))
        if start >= end > 0:
            headers = {"Content-Range": f"bytes */{end}", "Content-Length": "0"}
            return self.send_head(request, 416, **headers)
        end = start + (end - start) // 2 if fault == "short" else end
        headers = {"ETag": self.etag, "Content-Length": str(end - start)} | self.headers
        if start:
            first = start + 1 if fault == "shift" else start
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(content)}"
        self.send_head(request, 206 if start else 200, **headers)
        stop = start + (end - start) // 2 if fault == "cut" else end
        request.wfile.write(content[start:stop])

    def send_head(self, request, status, **headers):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self.http.shutdown()
            self.http.server_close()
            thread.join()


@pytest.fixture
def server():
    with Server().running() as server:
        yield server


@pytest.fixture
def log(caplog):
    """The messages of the data stages, in `log.messages`."""
    caplog.set_level("INFO", "alexnet.data")
    return caplog
