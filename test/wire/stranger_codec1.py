"""Reads one frame of codec 1 (a delta, a model, a part of a release) and prints it as JSON.

Written from src/wire/PROTOCOL.md alone, with nothing but Python's standard library, as
stranger_decoder.py is for codec 0.

    python3 stranger_codec1.py [--sender TENANT/DEVICE] [--model FRAME]... [--held FRAME]... < frame

--model names frames of codec models; --held the frames read before, oldest first. Exit code 1 and
{"error": ...} for a frame that breaks a rule.
"""

import hashlib
import json
import struct
import sys

from stranger_coder import decode_block, decode_coded, decode_model, int16, padded, rotate_back
from stranger_coder import round_half_up
from stranger_columns import delta_columns, release_columns
from stranger_decoder import Refused, decode, encode, id_to_cbor, need, read_frame, Reader


def read_model(data):
    reader = Reader(data[3:131])
    header = reader.item()
    body = data[3 + reader.at :]
    need(data[:3] == b"\xce\x01\x00" and header.get(0) == 6, "not a model")
    need(hashlib.sha256(body).digest()[:8] == header[9], "model.hash")
    model = decode_model(body)
    need(model["version"] == header[5], "model.version")
    return model


# --- Deltas, section 5 ---------------------------------------------------------------------


def read_delta(header, raw, sender, models):
    body = decode(raw)
    need(set(body) <= {0, 7, 9} and 9 in body, "delta.unknown-key")
    columns = delta_columns(body[9], header[3])
    kinds = ["difference" if ref else "absolute" for ref in columns["refs"] if ref >= 0]
    need((7 in body) == bool(kinds), "delta.coded")
    space, mode, residuals = 0, "tracking", []
    if kinds:
        at = (sender, header[2], header[3])
        space, mode, residuals = decode_coded(body[7], kinds, body[0], *at, models)
    following = iter(residuals)
    upserts = [
        {
            "id": columns["ids"][i],
            "weight": columns["weights"][i],
            "success": columns["success"][i] / 1000,
            "samples": columns["samples"][i],
            "updatedAtS": columns["updated"][i],
            "mode": "kept" if ref < 0 else "difference" if ref else "absolute",
            "referenceSeq": abs(ref),
            "residual": next(following) if ref >= 0 else None,
        }
        for i, ref in enumerate(columns["refs"])
    ]
    about = {"dim": body[0], "space": space, "mode": mode}
    return {**about, "upserts": upserts, "removals": columns["removals"]}


# --- Releases in layers, section 8.2 -------------------------------------------------------


class Layers:
    def __init__(self, models):
        self.models = models
        self.held = None
        self.reading = None

    def feed(self, header, raw):
        """The release after this frame, complete or not, and whether the content hash holds."""
        n, of = header.get(11, [1, 1])
        if header[0] == 4 and header[4] == header[5]:
            need(raw == b"" and self.held and self.held["version"] == header[5], "release.base")
            return self.held, self.hash_of(self.held) == header[9]
        if n == 1:
            self.begin(header)
        need(self.reading is not None and self.reading["n"] == n - 1, "a part that does not follow")
        self.reading["n"] = n
        self.read(decode(raw), n == 1)
        if n < of:
            return self.reading, None
        need(not self.reading["pending"], "release.fine")
        release, self.reading = self.reading, None
        ok = self.hash_of(release) == header[9]
        if ok:
            self.held = release
        return release, ok

    def begin(self, header):
        base = None
        if header[0] == 4:
            base = self.held
            need(base is not None and base["version"] == header[4], "release.base")
            need(base["model"] == header.get(12, 0), "release.base")
        need(header.get(12, 0) == 0 or header[12] in self.models, "the model is not at hand")
        self.reading = {
            "n": 0,
            "version": header[5],
            "model": header.get(12, 0),
            "dim": base["dim"] if base else None,
            "steps": base["steps"] if base else None,
            "patterns": {name: dict(one) for name, one in base["patterns"].items()} if base else {},
            "trends": [],
            "base_trends": base["trends"] if base else [],
            "pending": [],
        }

    def read(self, body, first):
        release = self.reading
        need(set(body) <= {0, 4, 9, 10, 11, 12, 13}, "release.unknown-key")
        need(release["dim"] in (None, body[0]), "release.dim")
        release["dim"] = body[0]
        need((10 in body) == (release["steps"] is None), "release.steps")
        release["steps"] = body.get(10, release["steps"])
        need((11 in body) == (12 in body), "release.fine-count")
        fresh = []
        if 9 in body:
            columns = release_columns(body[9], sorted(release["patterns"]))
            fresh = self.change(columns)
        if body.get(13):
            need(first, "release.same-trends")
            release["trends"] = release["base_trends"]
        need((4 in body) == bool(fresh), "release.coarse")
        if fresh:
            for name, row in zip(fresh, self.rows(body[4], "coarse", len(fresh))):
                release["patterns"][name].update(coarse=row, fine=None)
            release["pending"] += fresh
        if 11 in body:
            count = body[12]
            need(count <= len(release["pending"]), "release.fine-count")
            names, release["pending"] = release["pending"][:count], release["pending"][count:]
            for name, row in zip(names, self.rows(body[11], "fine", count)):
                release["patterns"][name]["fine"] = row

    def change(self, columns):
        """Applies columns; the ids whose coarse rows come with them."""
        release = self.reading
        for name in columns["removals"]:
            del release["patterns"][name]
        for name, weight, devices in zip(columns["ids"], columns["weights"], columns["devices"]):
            pattern = release["patterns"].setdefault(name, {})
            pattern.update(weight=weight, devices=devices)
        trends = release["trends"] + columns["trends"]
        release["trends"] = sorted(trends, key=lambda trend: (-trend["score"], trend["id"]))
        return [name for name in columns["ids"] if name not in columns["kept"]]

    def rows(self, data, layer, count):
        release = self.reading
        coarse, fine, level = release["steps"]
        model = self.models.get(release["model"])
        sigma = model["spectrum"] if model else [0] * padded(release["dim"])
        spectrum = [one + level for one in sigma]
        if layer == "fine":
            spectrum = [min(one, coarse - 24) for one in spectrum]
        step = coarse if layer == "coarse" else fine
        return decode_block(data, 64, step, spectrum, ["absolute"] * count, False)

    def vector(self, release, pattern, full):
        values = pattern["coarse"][1]
        if full and pattern["fine"] is not None:
            values = [a + b for a, b in zip(values, pattern["fine"][1])]
        model = self.models.get(release["model"])
        if model:
            values = [value + mean for value, mean in zip(values, model["mean"])]
        else:
            values = rotate_back(values, 0)[: release["dim"]]
        return [int16(round_half_up(value)) for value in values]

    def hash_of(self, release):
        patterns = sorted(release["patterns"].items())
        full = [self.vector(release, pattern, True) for _, pattern in patterns]
        state = {
            0: release["dim"],
            1: [id_to_cbor(name) for name, _ in patterns],
            2: [pattern["weight"] for _, pattern in patterns],
            3: [pattern["devices"] for _, pattern in patterns],
            4: b"".join(struct.pack(f"<{len(vector)}h", *vector) for vector in full),
            5: [id_to_cbor(trend["id"]) for trend in release["trends"]],
            6: [trend["score"] for trend in release["trends"]],
            7: [release["model"], *release["steps"]],
        }
        return hashlib.sha256(encode(state)).digest()[:8]

    def report(self, release, ok):
        patterns = [
            {
                "id": name,
                "weight": pattern["weight"],
                "devices": pattern["devices"],
                "layers": [row and row[0] for row in (pattern["coarse"], pattern["fine"])],
                "coarse": self.vector(release, pattern, False),
                "full": self.vector(release, pattern, True),
            }
            for name, pattern in sorted(release["patterns"].items())
        ]
        about = {key: release[key] for key in ("version", "dim", "model", "steps", "trends")}
        return {**about, "patterns": patterns, "contentHashOk": ok}


def main(arguments):
    sender, models, held = "", {}, []
    while arguments:
        need(len(arguments) >= 2, "an option without its value")
        option, value = arguments[:2]
        arguments = arguments[2:]
        if option == "--sender":
            sender = value
            continue
        need(option in ("--model", "--held"), f"unknown option {option}")
        with open(value, "rb") as file:
            data = file.read()
        if option == "--held":
            held.append(data)
        else:
            model = read_model(data)
            models[model["version"]] = model
    data = sys.stdin.buffer.read()
    if Reader(data[3:131]).item().get(0) == 6:
        return read_model(data)
    layers = Layers(models)
    for frame in held:
        layers.feed(*read_frame(frame))
    header, raw = read_frame(data)
    need(header.get(0) in (1, 3, 4) and header.get(6) == 1, "not a frame of codec 1")
    if header[0] == 1:
        return read_delta(header, raw, sender, models)
    return layers.report(*layers.feed(header, raw))


if __name__ == "__main__":
    try:
        print(json.dumps(main(sys.argv[1:])))
    except (Refused, KeyError, TypeError, ValueError, IndexError, struct.error) as refused:
        print(json.dumps({"error": f"{type(refused).__name__}: {refused}"}))
        sys.exit(1)
