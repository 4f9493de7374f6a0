#!/usr/bin/env python3
"""Envelopes and signatures beside Python's jwcrypto, which shares no code with this program.

    jwe-peer.py seal PUBLIC.jwk < LINES        one compact JWE a line, each around a line of standard input
    jwe-peer.py open PRIVATE.jwk FILE.jwe [SIGNER.jwk]
                                               the lines of a sealed file; with SIGNER the JWS inside is verified

Exit code 1 when something does not open or is not signed.
"""
import json
import sys

from jwcrypto import jwe, jwk, jws
from jwcrypto.common import JWException


def key(path):
    with open(path) as file:
        return jwk.JWK.from_json(file.read())


def seal(public):
    to = key(public)
    for line in sys.stdin.read().splitlines():
        header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": to["kid"]}
        token = jwe.JWE(line.encode(), json.dumps(header), recipient=to)
        print(token.serialize(compact=True))


def contents(envelope, private, signer):
    token = jwe.JWE()
    token.deserialize(envelope, private)
    header = token.jose_header
    if header["alg"] != "ECDH-ES" or header["enc"] != "A256GCM" or header["kid"] != private["kid"]:
        sys.exit("another header")
    if signer is None:
        return token.payload
    if header.get("cty") != "JWS":
        sys.exit("not signed")
    signed = jws.JWS()
    signed.allowed_algs = ["EdDSA"]
    signed.deserialize(token.payload.decode(), signer)
    inner = signed.jose_header
    if inner["kid"] != signer.thumbprint() or inner["to"] != private.thumbprint():
        sys.exit("another sender or recipient")
    for name in ("batch", "file", "line", "cards"):
        if inner.get(name) != header.get(name):
            sys.exit(f"{name} differs")
    return signed.payload


def open_file(private, path, signer=None):
    private = key(private)
    signer = key(signer) if signer else None
    with open(path) as file:
        envelopes = file.read().splitlines()
    for envelope in envelopes:
        text = contents(envelope, private, signer)
        sys.stdout.buffer.write(text if text.endswith(b"\n") else text + b"\n")


try:
    {"seal": seal, "open": open_file}[sys.argv[1]](*sys.argv[2:])
except JWException as error:
    sys.exit(f"{type(error).__name__}")
