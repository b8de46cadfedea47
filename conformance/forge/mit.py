"""Lets MIT's own library verify PACs: reads a JSON list from standard input, prints the list of its error messages.

A process of its own: Samba's library brings Heimdal's Kerberos with it, and two Kerberos libraries in one process are one too
many. Each entry is {"pac", "key": hexadecimal, "etype", "authtime": Unix seconds, "client": "name@REALM"}.
"""

import ctypes as c
import json
import sys


class Keyblock(c.Structure):
    _fields_ = [("magic", c.c_int32), ("enctype", c.c_int32), ("length", c.c_uint), ("contents", c.c_char_p)]


def main():
    krb5 = c.CDLL("libkrb5.so.3")
    krb5.krb5_get_error_message.restype = c.c_void_p
    context = c.c_void_p()
    if krb5.krb5_init_context(c.byref(context)):
        raise SystemExit("MIT's library does not start")

    def verified(entry):
        pac, key = bytes.fromhex(entry["pac"]), bytes.fromhex(entry["key"])
        parsed, client = c.c_void_p(), c.c_void_p()
        block = Keyblock(0, entry["etype"], len(key), key)
        code = krb5.krb5_parse_name(context, entry["client"].encode(), c.byref(client))
        code = code or krb5.krb5_pac_parse(context, pac, c.c_size_t(len(pac)), c.byref(parsed))
        code = code or krb5.krb5_pac_verify(context, parsed, c.c_int32(entry["authtime"]), client, c.byref(block), None)
        if not code:
            return ""
        return c.string_at(krb5.krb5_get_error_message(context, code)).decode() or f"error {code}"

    json.dump([verified(entry) for entry in json.load(sys.stdin)], sys.stdout)


main()
