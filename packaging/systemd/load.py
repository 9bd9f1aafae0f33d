#!/usr/bin/env python3
"""Clients that never rest: load.py PORT KEEPING NEW

KEEPING clients keep their connection, with idle gaps of up to half a second, and NEW ones open one for each request. Runs
until SIGTERM. Then prints a line of JSON: requests answered, failures and the first few of them, the longest an answer took.
Every answer is checked.
"""

import http.client
import json
import random
import signal
import sys
import threading
import time

PATIENCE_SECONDS = 20
stop = threading.Event()
lock = threading.Lock()
result = {"requests": 0, "failures": 0, "examples": [], "longest_ms": 0}


def ask(connection):
    """One request. Returns whether the server wants the connection closed."""
    left, right = random.randrange(1000), random.randrange(1000)
    body = json.dumps({"script": f"{left}+{right}"})
    connection.request("POST", "/api/execute", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200 or f'"value":"{left + right}"' not in text.replace(" ", ""):
        raise ValueError(f"{left}+{right}: {answer.status} {text[:200]}")
    return answer.will_close


def timed(connection):
    begun = time.monotonic()
    try:
        close = ask(connection)
    except (OSError, ValueError, http.client.HTTPException) as error:
        connection.close()
        with lock:
            result["failures"] += 1
            if len(result["examples"]) < 5:
                result["examples"].append(f"{time.strftime('%H:%M:%S')} {error!r}")
        return
    if close:
        connection.close()
    with lock:
        result["requests"] += 1
        result["longest_ms"] = max(result["longest_ms"], round(1000 * (time.monotonic() - begun)))


def client(port, gap_seconds, keeping):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    while not stop.wait(random.uniform(0, gap_seconds)):
        timed(connection)
        if not keeping:
            connection.close()
    connection.close()


def main():
    port, keeping, new = (int(argument) for argument in sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    clients = [threading.Thread(target=client, args=(port, 0.5, True)) for _ in range(keeping)]
    clients += [threading.Thread(target=client, args=(port, 0.02, False)) for _ in range(new)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    print(json.dumps(result))


main()
