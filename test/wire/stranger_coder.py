"""Codec 1 of the omega-sync protocol: the coefficient coder, the rotation, the models.

Written from src/wire/PROTOCOL.md alone (sections 4a and 9a), with nothing but Python's standard
library and the data table that belongs to the text. Numbers that are no integers are floats, which
are doubles; every sum runs in the order of the text.
"""

import json
import math
import pathlib
import struct

from stranger_decoder import need

TABLES_FILE = pathlib.Path(__file__).parents[2] / "src" / "wire" / "codec1-tables.json"
TABLES = json.loads(TABLES_FILE.read_text())
WORD = (1 << 32) - 1
COEFFICIENTS_MAX = 120000
FIRST_CLASS = 13
FIRST_MEAN = 81920


def round_half_up(x):
    floor = math.floor(x)
    return floor + 1 if x - floor >= 0.5 else floor


def clamp(value, low, high):
    return max(low, min(high, value))


def int16(value):
    return clamp(value, -32768, 32767)


# 2^(24 + j/32) lies far enough from a half for any pow() to round to the same integer.
MANTISSAS = [round_half_up(2.0 ** (24 + j / 32)) for j in range(32)]


def step_of(index):
    need(0 <= index <= 1023, "codec.step")
    return MANTISSAS[index % 32] * 2.0 ** (index // 32 - 24)


# --- The rotation, section 4a.2, and seeds, section 4a.7 -----------------------------------


def fmix32(h):
    h = (h ^ (h >> 16)) * 0x85EBCA6B & WORD
    h = (h ^ (h >> 13)) * 0xC2B2AE35 & WORD
    return h ^ (h >> 16)


def seed_of(sender, epoch, seq, index):
    h = 0x811C9DC5
    for byte in sender.encode() + struct.pack("<QQI", epoch, seq, index):
        h = (h ^ byte) * 0x01000193 & WORD
    return fmix32(h)


def padded(dim):
    lengths = []
    for length in (1, 12, 20):
        while length < dim:
            length *= 2
        lengths.append(length)
    return min(lengths)


def paley(order):
    q = order - 1
    squares = {root * root % q for root in range(1, q)} if order > 1 else set()

    def entry(row, column):
        if row == column or row == 0:
            return 1
        if column == 0:
            return -1
        return 1 if (column - row) % q in squares else -1

    return [[entry(row, column) for column in range(order)] for row in range(order)]


def rotate_back(values, seed):
    """The inverse rotation of a list whose length is a padded one."""
    size = len(values)
    order = next(m for m in (1, 12, 20) if size % m == 0 and (size // m) & (size // m - 1) == 0)
    block = size // order
    values = list(values)
    half = 1
    while half < block:
        for start in range(0, size, 2 * half):
            for low in range(start, start + half):
                u, v = values[low], values[low + half]
                values[low], values[low + half] = u + v, u - v
        half *= 2
    f = 1 / math.sqrt(size)
    if order == 1:
        values = [value * f for value in values]
    else:
        matrix = paley(order)
        for offset in range(block):
            across = values[offset::block]
            for row in range(order):
                total = 0.0
                for column in range(order):
                    total += matrix[column][row] * across[column]
                values[offset + row * block] = total * f
    words = [fmix32((seed + (j + 1) * 0x9E3779B9) & WORD) for j in range((size + 31) // 32)]
    return [-v if words[i // 32] >> (i % 32) & 1 else v for i, v in enumerate(values)]


# --- The entropy coder, sections 4a.3 to 4a.6 ----------------------------------------------


class Rans:
    def __init__(self, data):
        need(len(data) >= 4, "codec.truncated")
        self.data = data
        self.at = 4
        self.state = int.from_bytes(data[:4], "little")
        need(1 << 23 <= self.state < 1 << 31, "codec.state")

    def slot(self):
        return self.state % 32768

    def advance(self, start, share):
        self.state = share * (self.state // 32768) + self.slot() - start
        while self.state < 1 << 23:
            need(self.at < len(self.data), "codec.truncated")
            self.state = self.state * 256 + self.data[self.at]
            self.at += 1

    def bits(self, count):
        share = 1 << (15 - count)
        value = self.slot() // share
        self.advance(value * share, share)
        return value

    def index(self, shares):
        slot, start, symbol = self.slot(), 0, 0
        while slot >= start + shares[symbol]:
            start += shares[symbol]
            symbol += 1
        if symbol == 0:
            self.advance(start, shares[0])
            return 0
        half = shares[symbol] // 2
        minus = slot >= start + half
        self.advance(start + half if minus else start, half)
        if symbol == 15:
            digits = self.bits(4)
            need(digits >= 1, "codec.escape")
            symbol = 14 + (1 << (digits - 1)) + self.bits(digits - 1)
            need(symbol <= 32767, "codec.escape")
        return -symbol if minus else symbol

    def end(self):
        need(self.state == 1 << 23 and self.at == len(self.data), "codec.trailing")


def trellis_next(states, state, index):
    feedback, crossing = {8: (11, 2), 64: (67, 10)}[states]
    even = (state ^ feedback if state % 2 else state) >> 1
    return even ^ crossing if index % 2 else even


def near(mean, means):
    v = 8 * (mean >> 8)
    return next((k for k in range(48) if v <= means[k] + means[k + 1]), 48)


def decode_block(data, states, step, spectrum, kinds, gain):
    """The coefficients of the vectors of a block: a list of floats for each kind in `kinds`."""
    length = len(spectrum)
    need(length * len(kinds) <= COEFFICIENTS_MAX, "codec.count")
    table = TABLES[str(states)]
    ceilings = [clamp((sigma - step + 34) >> 2, 0, 48) for sigma in spectrum]
    stream = Rans(data)
    classes = {"absolute": FIRST_CLASS, "difference": FIRST_CLASS}
    vectors = []
    for kind in kinds:
        if gain:
            classes[kind] = read_class(stream, classes[kind])
        indices, values, levels = [], [], 0
        state, mean = 0, FIRST_MEAN
        for i in range(length):
            which = ceilings[i]
            if gain:
                which = classes[kind]
            elif kind == "difference":
                which = min(which, max(5, near(mean, table["means"])))
            q = state % 2
            row = 2 * which + q
            index = stream.index(table["shares"][row])
            level = 2 * abs(index) - q if index else 0
            shift = table["shifts"][row][min(abs(index), 3) - 1] if index else 0
            size = (256 * level - shift) * step_of(step) / 256
            indices.append(index)
            values.append(-size if index < 0 else size)
            levels += min(level, 30)
            pace = clamp(i.bit_length(), 3, 6)
            mean += (min(level, 30) * 65536 - mean) >> pace
            state = trellis_next(states, state, index)
        if gain:
            need(near(65536 * levels // length, table["means"]) == classes[kind], "codec.class")
        vectors.append((indices, values))
    stream.end()
    return vectors


def read_class(stream, before):
    zeros = 0
    while stream.bits(1) == 0:
        zeros += 1
        need(zeros <= 6, "codec.class")
    c = (1 << zeros) + stream.bits(zeros)
    found = before + ((c - 1) // 2 if c % 2 else -(c // 2))
    need(0 <= found <= 48, "codec.class")
    return found


# --- The coded column of a delta, sections 4a.1 and 4a.7 -----------------------------------


def decode_coded(data, kinds, dim, sender, epoch, seq, models):
    """Space, mode and the residuals of a delta's vectors."""
    need(len(data) >= 5, "codec.truncated")
    need(data[0] <= 3, "codec.flags")
    unbiased, states = data[0] & 1, 64 if data[0] & 2 else 8
    space, step = struct.unpack_from("<HH", data, 1)
    model = models.get(space) if space else None
    need(space == 0 or (model is not None and model["dim"] == dim), "codec.model")
    scales = data[5 : 5 + len(kinds)] if unbiased else b""
    rest = data[5 + (len(kinds) if unbiased else 0) :]
    rotated = bool(unbiased) or model is None
    whitening = None
    if model is None:
        spectrum = [0] * padded(dim)
    elif unbiased:
        whitening, width = whiten(model["spectrum"])
        spectrum = [width] * padded(dim)
    else:
        spectrum = model["spectrum"]
    residuals = []
    block = decode_block(rest, states, step, spectrum, kinds, model is None)
    for j, (kind, (_, values)) in enumerate(zip(kinds, block)):
        if unbiased:
            scale = step_of(scales[j]) / 2
            values = [value * scale for value in values]
        if rotated:
            values = rotate_back(values, seed_of(sender, epoch, seq, j) if unbiased else 0)[:dim]
        if whitening:
            values = [value / w for value, w in zip(values, whitening)]
        residual = [clamp(round_half_up(value), -131071, 131071) for value in values]
        if kind == "absolute" and model is not None:
            residual = [r + m for r, m in zip(residual, model["mean"])]
        residuals.append(residual)
    return space, "unbiased" if unbiased else "tracking", residuals


def whiten(spectrum):
    largest = max(spectrum)
    factors = [math.sqrt(step_of(min(192, largest - sigma))) for sigma in spectrum]
    energy = 0.0
    for sigma, w in zip(spectrum, factors):
        energy += step_of(sigma) * step_of(sigma) * w * w
    width = math.sqrt(energy / padded(len(spectrum)))
    return factors, next((t for t in range(1023) if step_of(t) >= width), 1023)


# --- Models, section 9a --------------------------------------------------------------------


def decode_model(data):
    need(len(data) >= 5 and data[0] == 1, "model.format")
    version, dim = struct.unpack_from("<HH", data, 1)
    need(version >= 1 and 8 <= dim <= 1024, "model.dim")
    need(len(data) == 5 + 4 * dim + dim * dim, "model.length")
    mean = list(struct.unpack_from(f"<{dim}h", data, 5))
    spectrum = list(struct.unpack_from(f"<{dim}h", data, 5 + 2 * dim))
    need(all(0 <= sigma <= 1023 for sigma in spectrum), "model.spectrum")
    levels = struct.unpack_from(f"<{dim * dim}b", data, 5 + 4 * dim)
    need(min(levels) >= -127, "model.basis")
    rows = [[float(level) for level in levels[i * dim : (i + 1) * dim]] for i in range(dim)]
    for at, row in enumerate(rows):
        orthonormalise(row, rows[:at])
    basis = [struct.unpack("<f", struct.pack("<f", v))[0] for row in rows for v in row]
    return {"version": version, "dim": dim, "mean": mean, "spectrum": spectrum, "basis": basis}


def dot(a, b):
    total = 0.0
    for x, y in zip(a, b):
        total += x * y
    return total


def orthonormalise(row, above):
    before = dot(row, row)
    need(before > 0, "model.basis")
    shares = [dot(row, other) for other in above]
    zeros = [0.0] * len(row)
    for at in range(0, len(above), 4):
        four = above[at : at + 4] + [zeros] * 3
        a, b, c, d = four[:4]
        sa, sb, sc, sd = (shares[at : at + 4] + [0.0] * 3)[:4]
        for i in range(len(row)):
            row[i] -= ((sa * a[i] + sb * b[i]) + sc * c[i]) + sd * d[i]
    after = dot(row, row)
    need(after >= 0.9 * before, "model.basis")
    factor = 1 / math.sqrt(after)
    for i in range(len(row)):
        row[i] *= factor
