#!/usr/bin/env python3
"""gRPC through tpp: Google's own client and server (PyPI's grpcio) on both sides of a real tpp, which lends each call a token.

    proof/grpc-calls.py [--install] [EXECUTABLE]

grpcio is installed into target/grpc; with --install that is all that is done. Exit 3: it cannot be had here.
"""

import concurrent.futures
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from stage import head, install, keys, start

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "target" / "grpc"
VERSION = "1.76.0"
TOKENS = 4
LARGE = 8 << 20
PATIENCE = 60


class Server:
    """A service of each kind; it looks at the tokens as it goes."""

    def __init__(self):
        import grpc

        self.grpc = grpc
        self.lock = threading.Lock()
        self.at_work = {}
        self.shared = []
        self.cancelled = threading.Event()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), options=options())
        kinds = {
            "Echo": grpc.unary_unary_rpc_method_handler(self.watched(self.echo)),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Sleep": grpc.unary_unary_rpc_method_handler(self.sleep),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "Talk": grpc.stream_stream_rpc_method_handler(self.talk),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", kinds),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def watched(self, work):
        """No token is at work for two at once."""

        def watch(request, context):
            token = dict(context.invocation_metadata()).get("authorization", "none")
            with self.lock:
                self.at_work[token] = self.at_work.get(token, 0) + 1
                if self.at_work[token] > 1:
                    self.shared.append(token)
            try:
                time.sleep(0.002)
                return work(request, context)
            finally:
                with self.lock:
                    self.at_work[token] -= 1

        return watch

    def echo(self, request, context):
        said = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-first", said.get("x-own", "")),))
        context.set_trailing_metadata((("x-last", said["authorization"]), ("x-last-bin", b"\0\xff")))
        return request

    def fail(self, _, context):
        context.set_trailing_metadata((("x-why", "so"),))
        context.abort(self.grpc.StatusCode.DATA_LOSS, "lost: 100 % \u00e9")

    def sleep(self, _, context):
        context.add_callback(self.cancelled.set)
        time.sleep(3)
        return b""

    def count(self, request, _):
        for number in range(int(request)):
            yield str(number).encode()

    def sum(self, requests, _):
        return str(sum(len(request) for request in requests)).encode()

    def talk(self, requests, _):
        for request in requests:
            yield request[::-1]


def options():
    return [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def configuration(directory, port):
    path = directory / "tpp.toml"
    path.write_text(
        f"""{head(directory)}
[[listeners]]
address = "127.0.0.1:0"
{keys(TOKENS)}
[[backends]]
id = "one"
address = "127.0.0.1:{port}"
tags = ["a"]
pool = "keys"
http2 = "only"
[backends.health_check]
type = "tcp"
[[virtual_hosts]]
domain = "default"
enabled_backends_tag = "a"
[[virtual_hosts]]
domain = "limited.example"
enabled_backends_tag = "a"
rate_limit = "few"
[[rate_limits]]
name = "few"
requests = 1
per_seconds = 3600
burst = 1
"""
    )
    return path


class Channel:
    def __init__(self, address, host=None):
        import grpc

        self.grpc = grpc
        more = [("grpc.default_authority", host)] if host else []
        self.channel = grpc.insecure_channel(address, options=options() + more)
        self.echo = self.channel.unary_unary("/t.T/Echo")
        self.fail = self.channel.unary_unary("/t.T/Fail")
        self.sleep = self.channel.unary_unary("/t.T/Sleep")
        self.count = self.channel.unary_stream("/t.T/Count")
        self.sum = self.channel.stream_unary("/t.T/Sum")
        self.talk = self.channel.stream_stream("/t.T/Talk")


def check(server, tpp, address):
    """All that is claimed, one after another."""
    channel = Channel(address)
    check_answers(channel)
    check_failures(server, channel, address)
    check_a_crowd(server, tpp, channel)


def check_answers(channel):
    answer, call = channel.echo.with_call(b"hello", metadata=(("x-own", "mine"),), timeout=PATIENCE, wait_for_ready=True)
    assert answer == b"hello"
    assert ("x-first", "mine") in call.initial_metadata(), call.initial_metadata()
    last = dict(call.trailing_metadata())
    assert last["x-last"].startswith("Bearer key-") and last["x-last-bin"] == b"\0\xff", last
    print("unary: metadata pass both ways, a token is lent")

    assert channel.echo(bytes(LARGE), timeout=PATIENCE) == bytes(LARGE)
    assert [int(one) for one in channel.count(b"2000", timeout=PATIENCE)] == list(range(2000))
    assert channel.sum((b"x" * 1000 for _ in range(2000)), timeout=PATIENCE) == b"2000000"
    print("streams: 8 MiB both ways, 2,000 messages down, 2,000 up")

    turn = threading.Semaphore(0)
    replies = channel.talk(said(turn), timeout=PATIENCE)
    for number in range(200):
        turn.release()
        assert next(replies) == f"turn {number}".encode()[::-1]
    turn.release()
    assert list(replies) == []
    print("talk: 200 turns, each heard before the next is said")


def check_failures(server, channel, address):
    import grpc

    try:
        channel.fail(b"", timeout=PATIENCE)
        raise AssertionError("it did not fail")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DATA_LOSS and error.details() == "lost: 100 % \u00e9", error
        assert ("x-why", "so") in error.trailing_metadata(), error
    try:
        channel.sleep(b"", timeout=0.5)
        raise AssertionError("it was in time")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert server.cancelled.wait(PATIENCE), "the server learns of the cancelled call"
    print("failures: status, message and trailing metadata as the server says; a cancelled call is cancelled")

    limited = Channel(address, "limited.example")
    limited.echo(b"", timeout=PATIENCE)
    try:
        limited.echo(b"", timeout=PATIENCE)
        raise AssertionError("the limit lets it through")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and error.details(), error
    print("refusals of tpp's own are statuses of gRPC")


def check_a_crowd(server, tpp, channel):
    calls = [channel.echo.future(str(number).encode(), timeout=PATIENCE) for number in range(1000)]
    assert [int(call.result()) for call in calls] == list(range(1000))
    print(f"1,000 calls at once on one channel over {TOKENS} tokens")

    made = 0
    for _ in range(3):
        tpp.send_signal(signal.SIGUSR1)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            calls = [channel.echo.future(b"x", timeout=PATIENCE) for _ in range(20)]
            assert all(call.result() == b"x" for call in calls)
            made += len(calls)
    print(f"{made} calls while all workers were replaced three times, none failed")
    assert not server.shared, f"tokens at work for two: {server.shared[:3]}"


def said(turn):
    for number in range(200):
        turn.acquire()
        yield f"turn {number}".encode()
    turn.acquire()


def run(executable):
    server = Server()
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as place, open(Path(place) / "log", "w") as log:
        # The first one is that of `listen`, where HTTP/1.1 alone is spoken.
        tpp, _, address = start(executable, configuration(Path(place), server.port), log, "clients", "clients")
        failed = True
        try:
            check(server, tpp, address)
            failed = tpp.poll() is not None
        finally:
            if failed:
                print("".join(Path(log.name).read_text().splitlines(keepends=True)[-60:]))
            tpp.send_signal(signal.SIGTERM)
            tpp.wait(60)
            server.server.stop(None)
    return failed


def main():
    arguments = [one for one in sys.argv[1:] if one != "--install"]
    python = install(HOME, "python", f"grpcio=={VERSION}")
    if python is None:
        print("!!! GRPC NOT CHECKED: PyPI's grpcio cannot be installed")
        sys.exit(3)
    if "--install" in sys.argv:
        return
    if Path(sys.prefix).resolve() != HOME.resolve():
        os.execv(python, [python, __file__, *arguments])
    # tpp ends with us, however we end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    executable = Path(arguments[0] if arguments else ROOT / "target" / "debug" / "tpp").resolve()
    sys.exit(1 if run(executable) else 0)


main()
