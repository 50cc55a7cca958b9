"""Check the signature of every approval in a published log: python check_approval.py TLOG-DIRECTORY"""

import json
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64decode
from hashlib import sha256
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

bundles, entries, keys, asked = {}, [], {}, {}
for part in sorted(Path(sys.argv[1]).glob("tile/entries/**/*"), key=lambda part: part.stat().st_size):
    if part.is_file():  # the widest of each bundle counts (C2SP tlog-tiles)
        bundles[str(part).split(".p/")[0]] = part.read_bytes()
for _, data in sorted(bundles.items()):
    while data:
        size = int.from_bytes(data[:2], "big")
        entries.append(json.loads(data[2 : 2 + size]))
        data = data[2 + size :]
for index, entry in enumerate(entries):
    kind, body, who = entry["kind"], entry["body"], entry["actor"]["id"]
    if kind in ("person.enrolled", "passkey.enrolled"):
        keys[body.get("fingerprint") or "passkey:" + body["credential"]] = entry["subject"], body
    elif kind in ("change.proposed", "proposal.created"):
        asked[str(index)] = who, body["digest"]
    elif kind in ("change.approved", "proposal.approved"):
        (person, enrolled), (requester, digest) = keys[body["fingerprint"]], asked[entry["trigger"]]
        if who != person or who == requester or digest != body["digest"]:
            sys.exit(f"entry {index}: NOT VERIFIED: by somebody else, by whoever asked, or of something else")
        message = b"countersign-approval-v1\n" + digest.encode()
        if "signature" in body:  # OpenSSH says which key made it
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(body["signature"])
                file.flush()
                command = ["ssh-keygen", "-Y", "check-novalidate", "-n", "countersign", "-s", file.name]
                done = subprocess.run(command, input=message, capture_output=True, check=False)
                holds = done.returncode == 0 and done.stdout.decode().split()[-1] == body["fingerprint"]
        else:  # W3C Web Authentication, section 7.2
            given = {name: urlsafe_b64decode(text + "==") for name, text in body["webauthn"].items() if name != "nonce"}
            said, key = json.loads(given["client_data"]), cbor2.loads(urlsafe_b64decode(enrolled["key"] + "=="))
            challenge = sha256(message + body["webauthn"]["nonce"].encode()).digest()
            site, flags = given["authenticator_data"][:32], given["authenticator_data"][32]
            holds = (said["type"], urlsafe_b64decode(said["challenge"] + "==")) == ("webauthn.get", challenge)
            holds &= site == sha256(enrolled["rp_id"].encode()).digest() and flags & 5 == 5  # user there, and verified
            signature, signed = given["signature"], given["authenticator_data"] + sha256(given["client_data"]).digest()
            if key[3] == -7:
                point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + key[-2] + key[-3])
                point.verify(signature, signed, ec.ECDSA(SHA256()))
            elif key[3] == -257:
                e, n = int.from_bytes(key[-2], "big"), int.from_bytes(key[-1], "big")
                rsa.RSAPublicNumbers(e, n).public_key().verify(signature, signed, padding.PKCS1v15(), SHA256())
            else:
                ed25519.Ed25519PublicKey.from_public_bytes(key[-2]).verify(signature, signed)
        print(f"entry {index}: {who} approved {digest}") if holds else sys.exit(f"entry {index}: NOT VERIFIED: signature")
