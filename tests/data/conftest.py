import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up early is part of a test."""


class Server:
    """A file server on this machine that misbehaves as it is told.

    `plan` holds what to do with the next requests, one each: `cut` sends half the
    body, a number sends that status, `ignore` takes no notice of a range, `shift`
    answers with another range than asked for. An empty plan serves well.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.plan: list[str | int] = []
        self.ranges: list[str | None] = []  # what each request asked for
        self.redirects: dict[str, str] = {}
        self.etag = '"one"'
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = _Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        todo = self.plan.pop(0) if self.plan else None
        if request.path in self.redirects:
            request.send_response(302)
            request.send_header("Location", self.redirects[request.path])
            request.end_headers()
            return
        content = self.files.get(request.path)
        if isinstance(todo, int) or content is None:
            request.send_error(todo if isinstance(todo, int) else 404)
            return
        start = 0
        if asked and todo != "ignore" and request.headers.get("If-Range") == self.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content) > 0:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        body = content[start:]
        request.send_response(206 if start else 200)
        if start:
            said = start + 1 if todo == "shift" else start
            end = len(content)
            request.send_header("Content-Range", f"bytes {said}-{end - 1}/{end}")
        request.send_header("ETag", self.etag)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2] if todo == "cut" else body)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()
