"""A wire that breaks: relays TCP connections until so much came from the servers, then resets them all and refuses new ones.
Arguments: the file that says how much, as "NUMBER bytes" or "NUMBER answers", then LISTEN-ADDRESS:PORT=TARGET-ADDRESS:PORT for
each wire. An answer is what a server sends until a client asks again. A new order in the file makes everything whole.
How many bytes came since then is written to FILE.used.

With the word "hold" at the end of the order everything stands still there: FILE.held appears, and only the next order resets
the connections; what was on its way then is lost."""

import os
import socket
import struct
import sys
import threading
import time

# Shorter is the end of TLS's handshake or of a connection (80 and 24 bytes): whether a server's tickets come for it alone or
# with the answer to the first request is chance, and is not to be counted.
LEAST_REQUEST = 100

budget_file = sys.argv[1]
lock = threading.Lock()
state = {"stamp": None, "limit": 0, "unit": "bytes", "hold": False, "bytes": 0, "answers": 0, "asked": False, "open": set()}


def reset(sock):
    """Closes with RST, as a machine does that is gone and back."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    except OSError:
        pass


def refresh():
    stamp = os.stat(budget_file).st_mtime_ns
    if stamp != state["stamp"]:
        with open(budget_file) as file:
            number, unit, *hold = file.read().split()
        state.update(stamp=stamp, limit=int(number), unit=unit, hold=hold == ["hold"], bytes=0, answers=0)


def takes_connections():
    return state["hold"] or state[state["unit"]] < state["limit"]


def allowance(count):
    """How many of these bytes from a server may pass."""
    if state["asked"]:
        state["asked"] = False
        state["answers"] += 1
    if state["unit"] == "answers":
        return count if state["answers"] <= state["limit"] else 0
    return min(count, state["limit"] - state["bytes"])


def asked(count):
    if count >= LEAST_REQUEST:
        with lock:
            state["asked"] = True


def spend(count):
    """How many of these bytes pass, once they may."""
    with lock:
        allowed = allowance(count)
        state["bytes"] += allowed
        with open(budget_file + ".used", "w") as file:
            file.write(str(state["bytes"]))
        if allowed == count or not state["hold"]:
            return allowed
        stamp = state["stamp"]
    with open(budget_file + ".held", "w"):
        pass
    while os.stat(budget_file).st_mtime_ns == stamp:
        time.sleep(0.01)
    return allowed


def cut_all():
    with lock:
        for sock in state["open"]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def pump(source, sink, of_server):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            if not of_server:
                asked(len(data))
            passed = spend(len(data)) if of_server else len(data)
            sink.sendall(data[:passed])
            if passed < len(data):
                cut_all()
                break
    except OSError:
        pass
    for sock in (source, sink):
        with lock:
            state["open"].discard(sock)
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(listener, target):
    while True:
        client, _ = listener.accept()
        with lock:
            refresh()
            welcome = takes_connections()
        try:
            server = socket.create_connection(target, 5) if welcome else None
        except OSError:
            server = None
        if server is None:
            reset(client)
            continue
        server.settimeout(None)
        with lock:
            state["open"] |= {client, server}
        threading.Thread(target=pump, args=(client, server, False), daemon=True).start()
        threading.Thread(target=pump, args=(server, client, True), daemon=True).start()


for wire in sys.argv[2:]:
    here, there = (part.rsplit(":", 1) for part in wire.split("="))
    listener = socket.create_server((here[0], int(here[1])), backlog=64)
    args = (listener, (there[0], int(there[1])))
    threading.Thread(target=serve, args=args).start()
