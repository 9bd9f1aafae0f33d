"""httpbin, with DolphinDB's login beside it. Prints its port and serves until it is killed."""

import itertools
import json

from httpbin import app
from waitress import create_server

TOKENS = itertools.count(1)


def serve(environ, start_response):
    if environ["PATH_INFO"] != "/api/login":
        return app(environ, start_response)
    environ["wsgi.input"].read()
    answer = {"session": "1", "user": "u", "code": "0", "message": "", "result": f"token-{next(TOKENS)}"}
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


# The suite leaves many connections open, and httpbin has paths that take seconds.
server = create_server(serve, host="127.0.0.1", port=0, threads=32, connection_limit=2000, asyncore_use_poll=True)
print(server.effective_port, flush=True)
server.run()
