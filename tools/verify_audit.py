"""Verifies what a Fairlead audit trail has proven, without Fairlead: the standard library and `cryptography` only.

    verify_audit.py PROOF.json --key VKEY

PROOF.json is what `fairlead audit prove N` or `fairlead audit consistency OLD NEW` prints; VKEY is the trail's verifier
key, which must have come to you on another way. Exit status 0: proven. 1: not proven. 2: used wrongly.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import sys

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    print("verify_audit.py needs the package 'cryptography': pip install cryptography", file=sys.stderr)
    sys.exit(2)

HASH = 32


class NotProvenError(Exception):
    """Why."""


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def decoded(text, length=None):
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise NotProvenError(f"{text!r} is not base64") from None
    if length is not None and len(data) != length:
        raise NotProvenError(f"{text!r} is not {length} bytes")
    return data


def key_of(vkey):
    """Name, id and public key of a verifier key: name+hex id+base64(0x01 || public key)."""
    parts = vkey.strip().split("+", 2)
    if len(parts) != 3:
        raise NotProvenError("the key is not of the form name+id+key")
    name, key_id, material = parts[0], parts[1], decoded(parts[2], 33)
    if material[0] != 1:
        raise NotProvenError("the key is no Ed25519 key")
    if hashlib.sha256(name.encode() + b"\n" + material).hexdigest()[:8] != key_id:
        raise NotProvenError("the key's id does not fit its name and key")
    return name, bytes.fromhex(key_id), material[1:]


def tree_of(note, vkey):
    """Origin, size and root of a checkpoint (c2sp.org/tlog-checkpoint) that this key has signed."""
    name, key_id, public = key_of(vkey)
    body, blank, signatures = note.rpartition("\n\n")
    if not blank:
        raise NotProvenError("the checkpoint is no signed note")
    text = body + "\n"
    verified = False
    for line in signatures.splitlines():
        dash, signer, encoded = [*line.split(" "), "", ""][:3]
        if dash != "\u2014" or signer != name:
            continue
        signature = decoded(encoded)
        if signature[:4] != key_id:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature[4:], text.encode())
        except InvalidSignature:
            raise NotProvenError("the checkpoint's signature is wrong") from None
        verified = True
    if not verified:
        raise NotProvenError(f"the checkpoint is not signed by the key {name}+{key_id.hex()}")
    lines = text.split("\n")
    if len(lines) < 4 or not (lines[1].isascii() and lines[1].isdigit()):
        raise NotProvenError("the checkpoint is not origin, size and root")
    return lines[0], int(lines[1]), decoded(lines[2], HASH)


def included(leaf, index, size, path):
    """The root that the path leads to from a leaf (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise NotProvenError(f"there is no entry {index} in a tree of {size}")
    at, last, found = index, size - 1, leaf
    for beside in path:
        if last == 0:
            raise NotProvenError("the proof is too long")
        if at & 1 or at == last:
            found = node(beside, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node(found, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise NotProvenError("the proof is too short")
    return found


def consistent(old, new, path):
    """The two roots that the path leads to (RFC 9162, 2.1.4.2). `old` and `new` are size and root."""
    (old_size, old_root), (new_size, new_root) = old, new
    if not 0 < old_size <= new_size:
        raise NotProvenError(f"a tree of {old_size} is no beginning of one of {new_size}")
    if old_size == new_size:
        if path:
            raise NotProvenError("the proof is too long")
        if old_root != new_root:
            raise NotProvenError("the two trees have one size and different roots: the trail has two histories")
        return old_root, new_root
    if not old_size & (old_size - 1):
        path = [old_root, *path]
    if not path:
        raise NotProvenError("the proof is too short")
    return climbed(old_size - 1, new_size - 1, path)


def climbed(at, last, path):
    """The roots of the smaller and the larger tree, from the last leaf of each upwards."""
    while at & 1:
        at, last = at >> 1, last >> 1
    was = now = path[0]
    for beside in path[1:]:
        if last == 0:
            raise NotProvenError("the proof is too long")
        if at & 1 or at == last:
            was, now = node(beside, was), node(beside, now)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            now = node(now, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise NotProvenError("the proof is too short")
    return was, now


def verify(proof, vkey):
    """What is proven, in words. Raises NotProvenError."""
    try:
        path = [decoded(text, HASH) for text in proof["hashes"]]
        if "entry" in proof:
            return verify_inclusion(proof, path, vkey)
        return verify_consistency(proof, path, vkey)
    except (KeyError, TypeError, AttributeError) as error:
        raise NotProvenError(f"it is no proof of an audit trail: {error}") from None


def verify_inclusion(proof, path, vkey):
    origin, size, root = tree_of(proof["checkpoint"], vkey)
    index, entry = proof["index"], proof["entry"].encode()
    if type(index) is not int:
        raise NotProvenError("the index is no number")
    if included(hashlib.sha256(b"\x00" + entry).digest(), index, size, path) != root:
        raise NotProvenError("the proof does not lead to the signed root")
    if json.loads(entry).get("seq") != index:
        raise NotProvenError("the entry has another number")
    return f"entry {index} is in the tree of {size} entries of {origin}"


def verify_consistency(proof, path, vkey):
    # A key may have changed between the two; then the older tree is one of the key before, which only the trail links.
    origin, new_size, new_root = tree_of(proof["new"], vkey)
    old_origin, old_size, old_root = tree_of(proof["old"], vkey)
    if old_origin != origin:
        raise NotProvenError("the two checkpoints are of different trails")
    if consistent((old_size, old_root), (new_size, new_root), path) != (old_root, new_root):
        raise NotProvenError("the proof does not lead from the one root to the other")
    return f"the tree of {old_size} entries is the beginning of the tree of {new_size} entries of {origin}"


def main(argv=None):
    parser = argparse.ArgumentParser(description="Verifies a proof of a Fairlead audit trail.")
    parser.add_argument("proof", help="the file with the proof; -: standard input")
    parser.add_argument("--key", required=True, help="the trail's verifier key: name+id+key")
    args = parser.parse_args(argv)
    try:
        text = sys.stdin.read() if args.proof == "-" else pathlib.Path(args.proof).read_text(encoding="utf-8")
        proof = json.loads(text)
        said = verify(proof, args.key)
    except (NotProvenError, OSError, ValueError) as error:
        print(f"not proven: {error}", file=sys.stderr)
        return 1
    print(f"proven: {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
