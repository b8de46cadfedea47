#!/usr/bin/python3
"""Sends the bytes of its standard input over TLS and prints what comes back: for requests no decent client would send.

  tls.py HOST PORT CA_FILE [SECONDS]      ends at end of file, or when nothing came for SECONDS (10)
"""
import socket
import ssl
import sys

host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
patience = float(sys.argv[4]) if len(sys.argv) > 4 else 10.0
context = ssl.create_default_context(cafile=ca)
with socket.create_connection((host, port), timeout=patience) as plain:
    with context.wrap_socket(plain, server_hostname=host) as tls:
        try:
            tls.sendall(sys.stdin.buffer.read())
            tls.settimeout(patience)
            while piece := tls.recv(65536):
                sys.stdout.buffer.write(piece)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError) as error:
            # A server may refuse a body that is too large before it was sent in full.
            print(f"closed: {error}", file=sys.stderr)
