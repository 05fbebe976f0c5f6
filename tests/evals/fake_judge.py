"""A judge to test against: real HTTP on loopback, OpenAI's format, and every way to misbehave."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_BODIES = {
    "no_body": "<html>",
    "empty_body": "",
    "wrong_types": '{"choices": {"0": 1}, "usage": [3], "model": 7}',
    "huge": '{"choices": [' + " " * 10_000_000 + "]}",
    "streams": 'data: {"choices": [{"delta": {"content": "{"}}]}\n\ndata: [DONE]\n\n',
}


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
        if self.mode == "busy_until" and n == 1:
            return 429, {"retry-after": formatdate(time.time() - 1, usegmt=True)}, "{}"
        if self.mode == "error_at_first" and n == 1:
            return 500, {"retry-after": "0"}, "oops"
        if self.mode == "redirects":
            return 307, {"location": f"{self.url}/elsewhere"}, ""
        if self.mode == "no_schema" and "response_format" in body:
            return 400, {}, '{"error": "response_format is not supported"}'
        if self.mode == "newer_model" and ("max_tokens" in body or "temperature" in body):
            wrong = "max_tokens" if "max_tokens" in body else "temperature"
            told = f"{wrong} is not supported; max_completion_tokens is"
            return 400, {}, json.dumps({"error": {"message": told}})
        if self.mode in _BODIES:
            return 200, {}, _BODIES[self.mode]
        text: Any = self._text(body, repairs)
        usage: Any = {"prompt_tokens": 500, "completion_tokens": 40}
        if self.mode == "parts":
            text = [{"type": "text", "text": text}]
        if self.mode == "thinks_aloud":
            text = f'<think>It says {{"verdict": "fail"}}.</think>\n{text}'
        if self.mode == "no_usage":
            usage = None
        if self.mode == "claims_a_fortune":
            usage = {"prompt_tokens": -1e999, "completion_tokens": 12}
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
                if judge.mode in ("hangs_up", "drips"):
                    self._send_in_part()
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client had enough of waiting

        def _send_in_part(self) -> None:
            """Half of an answer, or one that comes a byte at a time."""
            self.send_response(200)
            self.send_header("content-length", "100")
            self.end_headers()
            for _ in range(1 if judge.mode == "hangs_up" else 12):
                self.wfile.write(b"{")
                self.wfile.flush()
                time.sleep(0.05)
            self.close_connection = True

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
