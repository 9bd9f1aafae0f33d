#!/usr/bin/env python3
"""The server that all hosts are before: it speaks the login call and writes down whose tokens it sees when.

    oracle.py PORT FILE ACCOUNT...

FILE gets a line for each login (time, "login", source, user, token) and for each request that has ended (time of its head, "request", source, token,
time of its end, how it ended, path). Times are seconds of CLOCK_MONOTONIC, which all processes of the machine share. An answer's end is written before
its last byte leaves: whoever is lent the token next can not be seen before it.
"""

import asyncio
import json
import secrets
import sys
import time
from urllib.parse import parse_qs, urlsplit


class Ledger:
    def __init__(self, file, accounts):
        self.file, self.accounts, self.users = open(file, "w", buffering=1), accounts, {}

    def log_in(self, source, body):
        user = json.loads(body)["username"]
        if user not in self.accounts:
            return {"session": "0", "user": user, "code": "1", "message": "The user name or password is incorrect.", "result": []}
        token = secrets.token_hex(24)
        self.users[token] = user
        self.note(time.monotonic(), "login", source, user, token)
        return {"session": token[:8], "user": user, "code": "0", "message": "", "result": [token]}

    def note(self, *row):
        self.file.write(json.dumps(row) + "\n")


class Work:
    """What is done for one request: pieces of its answer, one after another, as a server does that streams."""

    def __init__(self, token, path, user):
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        seconds = int(asked["ms"]) / 1000
        count = max(1, int(seconds * 4))
        self.begun, self.token, self.path, self.every = time.monotonic(), token, path, seconds / count
        self.has_head = count > 1
        self.pieces = [f"{asked['id']} {user}\n".encode().ljust(64, b".")] * count


class Connection(asyncio.Protocol):
    """HTTP/1.1, one request after another."""

    def __init__(self, ledger):
        self.ledger, self.buffer, self.work, self.timer = ledger, b"", None, None

    def connection_made(self, transport):
        self.transport, self.source = transport, transport.get_extra_info("peername")[0]

    def data_received(self, data):
        self.buffer += data
        if self.work is None:
            self.next()

    def next(self):
        head, gap, rest = self.buffer.partition(b"\r\n\r\n")
        if not gap:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        self.serve(first.split(" ")[1], headers.get("authorization", "").removeprefix("Bearer "), rest[:length])

    def serve(self, path, token, body):
        if path == "/api/login":
            self.answer(200, json.dumps(self.ledger.log_in(self.source, body)).encode())
        elif not path.startswith("/work"):
            self.answer(200, b"well\n")
        elif token not in self.ledger.users:
            self.answer(401, b"unknown token\n")
        else:
            self.work = Work(token, path, self.ledger.users[token])
            if self.work.has_head:
                self.head(200, sum(map(len, self.work.pieces)))
            self.wait()

    def wait(self):
        self.timer = asyncio.get_running_loop().call_later(self.work.every, self.go_on)

    def go_on(self):
        piece = self.work.pieces.pop()
        if self.work.pieces:
            self.transport.write(piece)
            return self.wait()
        has_head = self.work.has_head
        self.done("answered")
        if not has_head:
            return self.answer(200, piece)
        self.transport.write(piece)
        self.next()

    def head(self, status, length):
        self.transport.write(f"HTTP/1.1 {status} said\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n".encode())

    def answer(self, status, body):
        self.head(status, len(body))
        self.transport.write(body)
        self.next()

    def done(self, how):
        work, self.work = self.work, None
        self.ledger.note(work.begun, "request", self.source, work.token, time.monotonic(), how, work.path)

    def connection_lost(self, _):
        if self.work is not None:
            self.timer.cancel()
            self.done("gone")


async def main():
    port, file, *accounts = sys.argv[1:]
    ledger = Ledger(file, accounts)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(ledger), "0.0.0.0", int(port), backlog=512)
    await server.serve_forever()


asyncio.run(main())
