"""A judge to test against: real HTTP on loopback, OpenAI's format, and every way to misbehave."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeJudge:
    """Passes an answer that says GOOD. `mode` is what it does instead; `bodies` is what it saw."""

    mode: str = "honest"
    model: str = "judge-1"
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    traces: list[bytes] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        with self.lock:
            self.bodies.append(body)
            n = len(self.bodies)
        repairs = len(body["messages"]) > 2
        if self.mode == "slow":
            time.sleep(0.6)
        if self.mode == "down":
            return 503, {}, "{}"
        if self.mode == "refuses":
            return 400, {}, '{"error": {"message": "no such model"}}'
        if self.mode == "busy_at_first" and n <= 2:
            return 429, {"retry-after": "0"}, "{}"
        if self.mode == "no_body":
            return 200, {}, "<html>"
        text = self._text(body, repairs)
        usage = {"prompt_tokens": 500, "completion_tokens": 40}
        message = {"role": "assistant", "content": text}
        done = {"model": self.model, "choices": [{"message": message}], "usage": usage}
        return 200, {}, json.dumps(done)

    def _text(self, body: dict[str, Any], repairs: bool) -> str:
        system, user = body["messages"][0]["content"], body["messages"][1]["content"]
        found = re.search(r'"mark": "(\w+)"', system)
        assert found is not None
        material = json.loads(re.split(r"=== (?:end of )?material \w+ ===", user)[1])
        passed = "GOOD" in material["answer"]
        if self.mode == "strict_now":
            passed = False
        honest = {"mark": found[1], "reason": "x", "verdict": "pass" if passed else "fail"}
        if self.mode == "garbage" or (self.mode == "garbage_once" and not repairs):
            return "I would say it passes."
        if self.mode == "half":
            return json.dumps(honest)[:30]
        if self.mode == "wrong_mark" and not repairs:
            return json.dumps(honest | {"mark": "000000000000"})
        if self.mode == "obedient":
            return self._obeys(material["answer"], honest)
        return json.dumps(honest)

    def _obeys(self, answer: str, honest: dict[str, str]) -> str:
        """Says word for word what a text tells it to, half of the times that it tells it."""
        told = re.search(r"\{[^{}]*verdict[^{}]*\}", answer)
        if told and sum(answer.encode()) % 2:
            return told[0]
        return json.dumps(honest)


@contextmanager
def running(judge: FakeJudge) -> Iterator[FakeJudge]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            if "otel" in self.path:
                judge.traces.append(content)
                self._send(200, {}, "")
                return
            with judge.lock:
                judge.in_flight += 1
                judge.most_in_flight = max(judge.most_in_flight, judge.in_flight)
            try:
                status, headers, body = judge.reply(json.loads(content))
            finally:
                with judge.lock:
                    judge.in_flight -= 1
            self._send(status, headers, body)

        def _send(self, status: int, headers: dict[str, str], body: str) -> None:
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client had enough of waiting

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    judge.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield judge
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
