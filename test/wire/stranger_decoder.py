"""Reads one down frame of the omega-sync protocol and prints it as JSON.

Written from src/wire/PROTOCOL.md alone, with nothing but Python's standard
library and, for compressed bodies, the zstd command: the proof that a device
can be written in another language.

    python3 stranger_decoder.py [--held FRAME_FILE]... < frame

--held names the frames that brought the device to its base, oldest first. A
release delta without them prints what the frame alone says, and no verdict on
the content hash. Exit code 1 and {"error": ...} for a frame that breaks a rule.
"""

import hashlib
import json
import re
import shutil
import struct
import subprocess
import sys

BODY_MAX = 65536
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
HEX_ID = re.compile(r"[0-9a-f]{16}")


class Refused(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Refused(what)


# --- CBOR, section 2.1 ---------------------------------------------------------------------


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0
        self.items = 0

    def take(self, count):
        need(self.at + count <= len(self.data), "cbor is cut off")
        piece = self.data[self.at : self.at + count]
        self.at += count
        return piece

    def head(self):
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            need(info in (20, 21, 22), "simple value or float")
            return major, info
        if info < 24:
            return major, info
        need(info <= 27, "indefinite or reserved length")
        width = 1 << (info - 24)
        argument = int.from_bytes(self.take(width), "big")
        need(argument >= (24 if width == 1 else 1 << (width * 4)), "head is not the shortest")
        need(argument < 1 << 53, "integer beyond 2^53 - 1")
        return major, argument

    def item(self, depth=1):
        need(depth <= 6, "nested too deep")
        self.items += 1
        need(self.items <= 16384, "too many items")
        major, argument = self.head()
        if major == 0:
            return argument
        if major == 1:
            need(argument < (1 << 53) - 1, "integer beyond 2^53 - 1")
            return -1 - argument
        if major == 2:
            return bytes(self.take(argument))
        if major == 3:
            return self.take(argument).decode("utf-8")
        if major == 4:
            need(argument <= len(self.data) - self.at, "array longer than its bytes")
            return [self.item(depth + 1) for _ in range(argument)]
        if major == 5:
            return self.map(argument, depth)
        need(major == 7, "tag")
        return {20: False, 21: True, 22: None}[argument]

    def map(self, count, depth):
        need(count * 2 <= len(self.data) - self.at, "map longer than its bytes")
        result = {}
        previous = None
        for _ in range(count):
            start = self.at
            key = self.item(depth + 1)
            need(type(key) in (int, str) and key != "__proto__", "map key")
            encoded = self.data[start : self.at]
            need(previous is None or encoded > previous, "map keys out of order")
            previous = encoded
            result[key] = self.item(depth + 1)
        return result


def decode(data):
    reader = Reader(data)
    value = reader.item()
    need(reader.at == len(data), "bytes after the item")
    return value


def head(major, argument):
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * width):
            return bytes([major << 5 | info]) + argument.to_bytes(width, "big")
    raise AssertionError("argument too large")


def encode(value):
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode("utf-8")
        return head(3, len(text)) + text
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(encode(one) for one in value)
    entries = sorted((encode(key), encode(one)) for key, one in value.items())
    return head(5, len(entries)) + b"".join(key + one for key, one in entries)


# --- Frames, sections 2 to 2.4 -------------------------------------------------------------


def unzstd(data):
    command = shutil.which("zstd")
    if command is None:
        raise Refused("this body is compressed and there is no zstd command here: apt install zstd")
    done = subprocess.run([command, "-d", "-c", "-q", "-M128MB"], input=data, capture_output=True)
    need(done.returncode == 0, "zstd: " + done.stderr.decode("utf-8", "replace").strip())
    need(len(done.stdout) <= BODY_MAX, "body too large")
    return done.stdout


def read_frame(data):
    need(len(data) <= 65536, "frame too large")
    need(len(data) >= 3 and data[0] == 0xCE, "not a frame")
    need(data[1] == 1, "another version")
    need(data[2] in (0, 1), "reserved flag")
    reader = Reader(data[3:131])
    header = reader.item()
    need(isinstance(header, dict), "a header is a map")
    body = data[3 + reader.at :]
    return header, unzstd(body) if data[2] == 1 else body


def id_of(value):
    if isinstance(value, bytes):
        need(len(value) == 8, "id of another length than 8 bytes")
        return value.hex()
    need(isinstance(value, str) and ID.fullmatch(value) and not HEX_ID.fullmatch(value), "id")
    return value


def id_to_cbor(value):
    return bytes.fromhex(value) if HEX_ID.fullmatch(value) else value


# --- Releases, sections 3, 4 and 8 ---------------------------------------------------------


def codec0(data, count, dim):
    need(len(data) == count * (2 + dim), "coded length")
    steps = struct.unpack_from(f"<{count}H", data, 0)
    levels = struct.unpack_from(f"<{count * dim}b", data, 2 * count)
    vectors = []
    for index, step in enumerate(steps):
        need(step >= 1, "step 0")
        row = levels[index * dim : (index + 1) * dim]
        need(min(row) >= -127, "level -128")
        vectors.append([max(-32768, min(32767, level * step)) for level in row])
    return vectors


def patterns_of(body, held):
    """The patterns a body brings; None for a vector that the base holds and we do not know."""
    ids = [id_of(one) for one in body.get(1, [])]
    need(ids == sorted(set(ids)), "ids out of order")
    weights, devices = body.get(2, []), body.get(3, [])
    need(len(weights) == len(devices) == len(ids), "column lengths")
    kept = body.get(8, [])
    need(kept == sorted(set(kept)) and all(0 <= index < len(ids) for index in kept), "kept")
    vectors = iter(codec0(body.get(4, b""), len(ids) - len(kept), body[0]))
    result = {}
    for index, name in enumerate(ids):
        vector = next(vectors) if index not in kept else held[name]["vector"] if held else None
        result[name] = {"weight": weights[index], "devices": devices[index], "vector": vector}
    return result


def trends_of(body):
    ids = [id_of(one) for one in body.get(5, [])]
    scores = body.get(6, [])
    need(len(ids) == len(scores), "trend columns")
    return [{"id": name, "score": score} for name, score in zip(ids, scores)]


def content_hash(release):
    patterns = sorted(release["patterns"].items())
    trends = release["trends"]
    vectors = b"".join(struct.pack(f"<{len(p['vector'])}h", *p["vector"]) for _, p in patterns)
    state = {
        0: release["dim"],
        1: [id_to_cbor(name) for name, _ in patterns],
        2: [pattern["weight"] for _, pattern in patterns],
        3: [pattern["devices"] for _, pattern in patterns],
        4: vectors,
        5: [id_to_cbor(trend["id"]) for trend in trends],
        6: [trend["score"] for trend in trends],
    }
    return hashlib.sha256(encode(state)).digest()[:8]


def apply(data, held):
    """The release after this frame, and whether it is complete (its base was known)."""
    header, raw = read_frame(data)
    kind = header.get(0)
    need(kind in (3, 4), "not a release")
    need(header.get(6) == 0, "unknown codec")
    version, applied = header[5], header.get(10)
    about = {"kind": kind, "version": version, "applied": applied, "hash": header[9]}
    if kind == 4 and held is not None:
        need(held["version"] == header[4], "another base")
    if kind == 4 and header[4] == version:
        need(raw == b"", "a body where nothing changed")
        return {**(held or {"dim": None, "patterns": {}, "trends": []}), **about}, held is not None
    body = decode(raw)
    fresh = patterns_of(body, held["patterns"] if kind == 4 and held else None)
    trends = trends_of(body)
    if kind == 3 or held is None:
        return {"dim": body[0], "patterns": fresh, "trends": trends, **about}, kind == 3
    patterns = dict(held["patterns"])
    for name in map(id_of, body.get(7, [])):
        need(name in patterns and name not in fresh, "removal of what is not there")
        del patterns[name]
    patterns.update(fresh)
    return {"dim": body[0], "patterns": patterns, "trends": trends, **about}, True


def main(arguments):
    held = None
    while arguments:
        need(len(arguments) >= 2 and arguments[0] == "--held", "usage: --held FRAME_FILE")
        with open(arguments[1], "rb") as file:
            held, _ = apply(file.read(), held)
        arguments = arguments[2:]
    release, complete = apply(sys.stdin.buffer.read(), held)
    patterns = [
        {
            "id": name,
            "weight": pattern["weight"],
            "devices": pattern["devices"],
            "vector": None if pattern["vector"] is None else pattern["vector"][:4],
            "sum": None if pattern["vector"] is None else sum(pattern["vector"]),
        }
        for name, pattern in sorted(release["patterns"].items())
    ]
    return {
        "kind": {3: "snapshot", 4: "release-delta"}[release["kind"]],
        "version": release["version"],
        "applied": release["applied"],
        "dim": release["dim"],
        "patterns": patterns,
        "trends": release["trends"],
        "contentHash": release["hash"].hex(),
        "contentHashOk": content_hash(release) == release["hash"] if complete else None,
    }


if __name__ == "__main__":
    try:
        print(json.dumps(main(sys.argv[1:])))
    except (Refused, KeyError, TypeError, ValueError, struct.error) as refused:
        print(json.dumps({"error": f"{type(refused).__name__}: {refused}"}))
        sys.exit(1)
