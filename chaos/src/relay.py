"""Wires with faults: relays TCP connections and does to them what a file says, at any moment.

  relay.py FOLDER NAME=LISTEN-ADDRESS:PORT=TARGET-ADDRESS:PORT[,TARGET…] …

FOLDER/NAME holds an order, and behind it other targets, if there are any:

  pass            connections go to the first target that accepts them
  cut             connections are reset, and new ones too
  hold            nothing moves, connections stay
  slow MS         everything takes so many milliseconds longer, each way
"""

import asyncio
import os
import socket
import struct
import sys

LOOK_S = 0.05
CONNECT_S = 2


class Wire:
    def __init__(self, folder, text):
        self.name, listen, targets = text.split("=")
        self.file = os.path.join(folder, self.name)
        self.listen = address(listen)
        self.targets = [address(target) for target in targets.split(",")]
        self.mode, self.delay_s, self.stamp, self.open = "pass", 0.0, None, set()

    def look(self):
        try:
            stamp = os.stat(self.file).st_mtime_ns
            if stamp == self.stamp:
                return
            with open(self.file) as file:
                words = file.read().split()
        except OSError:
            return
        self.stamp, self.mode = stamp, words.pop(0)
        self.delay_s = int(words.pop(0)) / 1000 if self.mode == "slow" else 0.0
        if words:
            self.targets = [address(word) for word in words]
        if self.mode == "cut":
            for writer in list(self.open):
                reset(writer)

    async def moves(self):
        while self.mode == "hold":
            await asyncio.sleep(LOOK_S)

    async def accept(self, reader, writer):
        if self.mode == "cut":
            return reset(writer)
        await self.moves()
        for target in self.targets:
            try:
                server = await asyncio.wait_for(asyncio.open_connection(*target), CONNECT_S)
                break
            except (OSError, asyncio.TimeoutError):
                continue
        else:
            return reset(writer)
        self.open |= {writer, server[1]}
        await asyncio.gather(self.pump(reader, server[1]), self.pump(server[0], writer))
        self.open -= {writer, server[1]}

    async def pump(self, reader, writer):
        try:
            while data := await reader.read(65536):
                await self.moves()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()


def reset(writer):
    """Closes with RST."""
    raw = writer.get_extra_info("socket")
    try:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except (OSError, AttributeError):
        pass
    writer.transport.abort()


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


async def main():
    wires = [Wire(sys.argv[1], text) for text in sys.argv[2:]]
    for wire in wires:
        await asyncio.start_server(wire.accept, *wire.listen)
    while True:
        for wire in wires:
            wire.look()
        await asyncio.sleep(LOOK_S)


asyncio.run(main())
