"""Stands where a domain controller would be and answers LDAP with a rootDSE; for what a Samba domain cannot show.

    stand_in_dc.py ADDRESS child LOG     the controller of a child domain, `na.corp.contoso.com`: the rootDSE as a
                                         Windows Server 2019 gives it. Ports 88 and 445 accept connections; every byte
                                         that arrives there goes to LOG
    stand_in_dc.py ADDRESS ldap-only DC  passes LDAP on to the domain controller at the address DC; nothing listens on
                                         ports 88 and 445
"""

import socket
import sys
import threading
import time

CHILD = {
    "dnsHostName": ["dc3.na.corp.contoso.com"],
    "defaultNamingContext": ["DC=na,DC=corp,DC=contoso,DC=com"],
    "rootDomainNamingContext": ["DC=corp,DC=contoso,DC=com"],
    "configurationNamingContext": ["CN=Configuration,DC=corp,DC=contoso,DC=com"],
    "schemaNamingContext": ["CN=Schema,CN=Configuration,DC=corp,DC=contoso,DC=com"],
    "dsServiceName": [
        "CN=NTDS Settings,CN=DC3,CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration,DC=corp,DC=contoso,DC=com"
    ],
    "domainFunctionality": ["7"],
    "forestFunctionality": ["7"],
    "domainControllerFunctionality": ["7"],
    "highestCommittedUSN": ["131289"],
    "supportedSASLMechanisms": ["GSSAPI", "GSS-SPNEGO", "EXTERNAL", "DIGEST-MD5"],
    "isSynchronized": ["TRUE"],
}


def tlv(tag, content):
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    return bytes([tag, 0x82]) + length.to_bytes(2, "big") + content


def text(value):
    return tlv(0x04, value.encode())


def root_dse(message_id):
    values = dict(CHILD, currentTime=[time.strftime("%Y%m%d%H%M%S.0Z", time.gmtime())])
    attributes = b"".join(
        tlv(0x30, text(name) + tlv(0x31, b"".join(text(value) for value in several)))
        for name, several in values.items()
    )
    entry = tlv(0x64, text("") + tlv(0x30, attributes))
    done = tlv(0x65, tlv(0x0A, b"\0") + text("") + text(""))
    return b"".join(tlv(0x30, tlv(0x02, bytes([message_id])) + op) for op in (entry, done))


def serve(address, port, handle):
    listener = socket.create_server((address, port))

    def loop():
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=handle, args=(peer,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def answer(peer):
    with peer:
        # One message: SEQUENCE, then INTEGER message id, then the operation, which must be a search.
        message = peer.recv(4096)
        at = 2 if message[1] < 0x80 else 2 + (message[1] & 0x7F)
        if message[at] == 0x02 and message[at + 1] == 1 and message[at + 3] == 0x63:
            peer.sendall(root_dse(message[at + 2]))
            peer.recv(1)


def log_to(path, port):
    def handle(peer):
        with peer:
            while data := peer.recv(4096):
                with open(path, "a") as log:
                    log.write(f"{port}: {data.hex()}\n")

    return handle


def pass_on(to):
    def copy(source, sink):
        while data := source.recv(4096):
            sink.sendall(data)
        sink.close()

    def handle(peer):
        other = socket.create_connection((to, 389))
        threading.Thread(target=copy, args=(other, peer), daemon=True).start()
        copy(peer, other)

    return handle


address, kind, last = sys.argv[1:4]
if kind == "child":
    serve(address, 389, answer)
    for port in (88, 445):
        serve(address, port, log_to(last, port))
else:
    serve(address, 389, pass_on(last))
print("ready", flush=True)
threading.Event().wait()
