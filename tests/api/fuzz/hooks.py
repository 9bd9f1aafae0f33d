"""What the fuzzer is told of the tpp that proof/api-fuzz.py starts: names that are there, so that it gets beyond 404; and that backends stay on
loopback, for names that nobody has are looked up for seconds, and a real one is somebody else's server."""

import random

import schemathesis

NAMES = {"domain": ["default", "a.test"], "id": ["one", "two", "web"], "name": ["keys"], "slot": [0, 1]}
TAGS = ["a", "b"]
# Two of three are right.
LUCK = 0.66
dice = random.Random(1)


def lucky():
    return dice.random() < LUCK


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if path_parameters:
        for key, names in NAMES.items():
            if key in path_parameters and lucky():
                path_parameters[key] = dice.choice(names)
    return path_parameters


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    body = dict(body)
    address = body.get("address")
    if isinstance(address, str) and ":" in address:
        body["address"] = "127.0.0.1:" + address.rsplit(":", 1)[1]
    for key in ("enabled_backends_tag", "new_tag"):
        if key in body and lucky():
            body[key] = dice.choice(TAGS)
    if "tags" in body and lucky():
        body["tags"] = [dice.choice(TAGS)]
    if lucky():
        # Nothing of these kinds is configured, nor is a file with certificates there.
        for key in ("rate_limit", "access", "certificate", "split", "ca_file", "pool"):
            body.pop(key, None)
    return body
