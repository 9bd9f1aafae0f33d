#!/usr/bin/env python3
"""The clients of all hosts: clients.py SEED FILE PATIENCE EACH ADDRESS...

EACH of them stay with one address, ask one thing after another, over connections that are kept for a while, and write what became of each: when it
was asked, where, when it ended, and how: a status, or "refused", "reset", "cut", "wrong" or "nothing". Where most is asked changes every few seconds.
"""

import asyncio
import json
import random
import sys
import time

PHASE = 8


class Client:
    def __init__(self, dice, number, address, hosts, patience, note):
        self.dice, self.number, self.address, self.hosts, self.patience, self.note = dice, number, address, hosts, patience, note
        self.streams, self.left, self.asked = None, 0, 0

    async def live(self):
        while True:
            begun = time.monotonic()
            try:
                async with asyncio.timeout(self.patience):
                    how = await self.ask()
            except TimeoutError:
                how = "nothing"
            except ConnectionRefusedError:
                how = "refused"
            except asyncio.IncompleteReadError as error:
                how = "cut" if error.partial else "reset"
            except OSError:
                how = "reset"
            self.note(begun, self.address, time.monotonic(), how)
            if how != 200:
                self.close()
                await asyncio.sleep(0.2)
            await asyncio.sleep(self.pause())

    def pause(self):
        """In each phase one of the hosts, or none, is where all want to go."""
        favourite = random.Random(int(time.monotonic() / PHASE)).choice([*self.hosts, None])
        return self.dice.expovariate(20 if favourite == self.address else 2)

    async def ask(self):
        if self.streams is None:
            self.streams = await asyncio.open_connection(self.address, 8080)
            self.left = self.dice.randint(1, 8)
        reader, writer = self.streams
        self.asked += 1
        millis = self.dice.choices([self.dice.randint(5, 120), self.dice.randint(300, 900), self.dice.randint(1500, 7000)], [90, 8, 2])[0]
        mine = f"{self.number}.{self.asked}"
        writer.write(f"GET /work?ms={millis}&id={mine} HTTP/1.1\r\nHost: db\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ")[1])
        length = int(head.split("content-length:")[1].split("\r\n")[0]) if "content-length:" in head else 0
        try:
            body = await reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            return "cut"
        self.left -= 1
        if self.left <= 0 or "connection: close" in head:
            self.close()
        return "wrong" if status == 200 and body.split(b" ")[0] != mine.encode() else status

    def close(self):
        if self.streams is not None:
            self.streams[1].transport.abort()
            self.streams = None


async def main():
    seed, file, patience, each, *hosts = sys.argv[1:]
    with open(file, "w", buffering=1) as out:

        def note(*row):
            out.write(json.dumps(row) + "\n")

        async with asyncio.TaskGroup() as group:
            for number in range(int(each) * len(hosts)):
                dice = random.Random(f"{seed} client {number}")
                client = Client(dice, number, hosts[number % len(hosts)], hosts, float(patience), note)
                group.create_task(client.live())


asyncio.run(main())
