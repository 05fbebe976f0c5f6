"""A real HTTP endpoint on loopback that keeps what it got and answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """`answers` are the statuses of the next requests, in order; 200 when they run out. 0 closes
    the connection without an answer, and -1 does so after taking the message. `delay`: seconds."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[int] = []
        self.retry_after = ""
        self.delay = 0.0
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    def keys_seen(self) -> set[str]:
        """What a receiver that drops repeats by the key has seen."""
        return {body["event_key"] for body in self.bodies}


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.answers.pop(0) if receiver.answers else 200
            time.sleep(receiver.delay)
            if receiver.delay:
                return
            if status < 300 and status != 0:
                receiver.bodies.append(json.loads(body))
                receiver.headers.append(dict(self.headers))
            if status <= 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if receiver.retry_after:
                self.send_header("Retry-After", receiver.retry_after)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/alerts")
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
