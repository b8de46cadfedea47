"""A wire that breaks: relays TCP connections until so many bytes came from the servers, then resets them all and refuses new
ones. Arguments: the file that holds the number of bytes, then LISTEN-ADDRESS:PORT=TARGET-ADDRESS:PORT for each wire.
A new number in the file makes everything whole again. How many bytes came since then is written to FILE.used.

With the word "hold" behind the number everything stands still there: FILE.held appears, and only the next number resets the
connections; what was on its way then is lost."""

import os
import socket
import struct
import sys
import threading
import time

budget_file = sys.argv[1]
lock = threading.Lock()
state = {"stamp": None, "left": 0, "hold": False, "used": 0, "open": set()}


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
            number, *hold = file.read().split()
        state.update(stamp=stamp, left=int(number), hold=hold == ["hold"], used=0)


def spend(count):
    """How many of these bytes may pass."""
    with lock:
        allowed = min(count, state["left"])
        state["left"] -= allowed
        state["used"] += allowed
        with open(budget_file + ".used", "w") as file:
            file.write(str(state["used"]))
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


def pump(source, sink, counted):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            passed = spend(len(data)) if counted else len(data)
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
            whole = state["left"] > 0
        try:
            server = socket.create_connection(target, 5) if whole else None
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
