"""ask.py LIBRARY URL CA VERSION COUNT AT_ONCE: asks with Python's requests or httpx, and prints what it was answered (see front-clients.py)."""

import asyncio
import concurrent.futures
import json
import sys

library, url, authority, version, count, at_once = sys.argv[1:]
numbers = [(number, b"x" * (number * 997)) for number in range(int(count))]


def asked_for(number, body):
    return ("POST" if number % 2 else "GET"), f"{url}/{number}", (body if number % 2 else None)


def with_requests():
    import requests

    def ask(number, body):
        method, target, content = asked_for(number, body)
        answer = session.request(method, target, data=content, verify=authority, timeout=60)
        return [number, answer.status_code, {10: "1.0", 11: "1.1"}[answer.raw.version], answer.text]

    with requests.Session() as session, concurrent.futures.ThreadPoolExecutor(int(at_once)) as threads:
        return list(threads.map(lambda one: ask(*one), numbers))


async def with_httpx():
    import ssl

    import httpx

    async def ask(client, turn, number, body):
        method, target, content = asked_for(number, body)
        async with turn:
            answer = await client.request(method, target, content=content)
        return [number, answer.status_code, answer.http_version.removeprefix("HTTP/").removesuffix(".0"), answer.text]

    turn = asyncio.Semaphore(int(at_once))
    trust = ssl.create_default_context(cafile=authority)
    async with httpx.AsyncClient(http1=version == "1.1", http2=version == "2", verify=trust, timeout=60) as client:
        return await asyncio.gather(*(ask(client, turn, *one) for one in numbers))


print(json.dumps(with_requests() if library == "requests" else asyncio.run(with_httpx())))
