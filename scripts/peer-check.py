#!/usr/bin/env python3
"""The golden cards beside other people's code: pyemv and psec compute the steps again, and OpenSSL's arithmetic (Python's pow) recovers the
certificates. jwcrypto opens a sealed file when one is given.

    python3 -m venv venv && venv/bin/pip install pyemv psec jwcrypto
    venv/bin/python scripts/peer-check.py [SEALED.jwe PRIVATE.jwk]
"""
import glob
import hashlib
import json
import sys
import warnings

warnings.simplefilter("ignore")  # the peers' own library calls TDES deprecated

import psec.cvv
import psec.pin
import pyemv.kd as kd
import pyemv.tools as tools

checked = 0


def same(card, step, want, got):
    global checked
    checked += 1
    if want != got:
        sys.exit(f"{card}: {step}: the card has another value than the peer")


def recover(certificate, modulus, exponent):
    number = pow(int(certificate, 16), exponent, modulus)
    return number.to_bytes((modulus.bit_length() + 7) // 8, "big")


for path in sorted(glob.glob("vectors/cards/*.json")):
    card = json.load(open(path))
    name = card["id"]
    steps = {s["step"]: s["value"] for s in card["steps"]}
    inputs = card["inputs"]
    keys = {" ".join(k.split()[:2]): bytes.fromhex(v) for k, v in inputs["keys"].items()}
    data = inputs["order"]["cardData"]
    application = inputs["order"]["order"]["paymentApplication"]
    pan, expiry = data["pan"], data["exp"]
    index = application["derivationKeyIndex"]

    # ICC master keys
    derive = kd.derive_icc_mk_b if "ccd" in name else kd.derive_icc_mk_a
    for use in ("imk-ac", "imk-smi", "imk-smc", "imk-idn", "imk-cvc3"):
        step = f"{use}: ICC master key"
        if step in steps:
            key = derive(keys[f"{use} {index}"], pan, "00")
            same(name, step, steps[step], key.hex().upper())
            same(name, f"{use}: KCV", steps[f"{use}: KCV"], tools.key_check_digits(key, 3).hex().upper())

    # Card verification values
    cvk = keys["cvk 01"]
    cvv1 = steps["CVV1"]
    code = {"classic": "201", "standard": "201"}.get(card["expected"]["card"]["product"], "221")
    same(name, "CVV1", cvv1, psec.cvv.generate_cvv(cvk, pan, expiry, code))
    same(name, "iCVV", steps["iCVV"], psec.cvv.generate_cvv(cvk, pan, expiry, "999"))
    order = expiry[2:] + expiry[:2] if card["expected"]["card"]["product"] == "classic" else expiry
    same(name, "CVV2", steps["CVV2"], psec.cvv.generate_cvv(cvk, pan, order, "000"))

    # PIN
    if "PVV" in steps:
        same(name, "PVV", steps["PVV"], psec.pin.generate_visa_pvv(keys["pvk 01"], "1", steps["PIN"], pan))
    if "IBM 3624: offset" in steps:
        offset = psec.pin.generate_ibm3624_offset(
            keys["pvk 01"], "0123456789012345", steps["PIN"], pan, len(pan) - 13, 12, "F"
        )
        same(name, "IBM 3624: offset", steps["IBM 3624: offset"], offset)

    # Certificates: CA to issuer to ICC, with integers only
    if application.get("odaKeyIndex"):
        scheme = next(s for s in inputs["schemes"] if s["index"] == int(application["odaKeyIndex"], 16))
        issuer = int(scheme["issuer"]["p"], 16) * int(scheme["issuer"]["q"], 16)
        icc = int(inputs["icc_key"]["p"], 16) * int(inputs["icc_key"]["q"], 16)
        records = {d["dgi"]: d["value"] for a in card["expected"]["card"]["chip"]["applications"][:1] for d in a["dgis"]}
        modulus = f"{icc:X}"
        for step, value in steps.items():
            if not step.endswith("ICC certificate recovered"):
                continue
            signed = bytes.fromhex(steps[step.replace("ICC certificate recovered", "static data to be authenticated")])
            found = [v for v in records.values() if "9F4681B0" in v]
            plain = [recover(v.split("9F4681B0")[1], issuer, scheme["issuer"]["e"]) for v in found]
            same(name, step, True, bytes.fromhex(value) in plain)
            block = bytes.fromhex(value)
            remainder = bytes.fromhex(modulus)[len(block) - 42:]
            exponent = {3: b"\x03", 65537: b"\x01\x00\x01"}[inputs["icc_key"]["e"]]
            digest = hashlib.sha1(block[1:-21] + remainder + exponent + signed).digest()
            same(name, step + " (hash)", block[-21:-1], digest)
            same(name, step + " (modulus)", block[21:-21], bytes.fromhex(modulus)[: len(block) - 42])

if len(sys.argv) == 3:
    from jwcrypto import jwe, jwk

    token = jwe.JWE()
    token.deserialize(open(sys.argv[1]).read().split("\n")[0], jwk.JWK.from_json(open(sys.argv[2]).read()))
    lines = token.payload.decode().splitlines()
    same("sealed file", "lines", True, all(json.loads(line)["format"] == "emv-dataprep/card/1" for line in lines))

print(f"{checked} values agree with the peers")
