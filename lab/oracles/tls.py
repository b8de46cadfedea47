#!/usr/bin/python3
"""Sends the bytes of its standard input over TLS and prints what comes back: for requests no decent client would send.

  tls.py HOST PORT CA_FILE [SECONDS]      ends at end of file, or when nothing came for SECONDS (10)
"""
import select
import socket
import ssl
import sys

host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
patience = float(sys.argv[4]) if len(sys.argv) > 4 else 10.0
request = sys.stdin.buffer.read()
head = request.find(b"\r\n\r\n") + 4
pieces = [request[:head]] + [request[at : at + 16384] for at in range(head, len(request), 16384)]
context = ssl.create_default_context(cafile=ca)
with socket.create_connection((host, port), timeout=patience) as plain:
    with context.wrap_socket(plain, server_hostname=host) as tls:
        try:
            for piece in pieces:
                tls.sendall(piece)
                # A server may answer a head that announces too much, and read no further.
                if len(pieces) > 4 and select.select([tls], [], [], 0.2 if piece is pieces[0] else 0)[0]:
                    break
            tls.settimeout(patience)
            while answer := tls.recv(65536):
                sys.stdout.buffer.write(answer)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError) as error:
            print(f"closed: {error}", file=sys.stderr)
