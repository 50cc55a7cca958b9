"""A server for the messages that a site sends, which keeps what it is posted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 60.0


class Web:
    """An HTTP server that keeps what it is posted, and answers as it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self._came = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with outer._came:
                    outer.heard.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                    outer._came.notify_all()
                self.send_response(outer.answers.pop(0) if outer.answers else 204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def hears(self, messages: int) -> bool:
        """Whether so many have come, once they have or have not for long."""
        with self._came:
            return self._came.wait_for(lambda: len(self.heard) >= messages, WAIT_S)


@contextmanager
def heard() -> Iterator[Web]:
    """Start one; it ends with the block."""
    made = Web()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()
