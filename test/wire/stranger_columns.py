"""The columns in bits of the omega-sync protocol, written from section 8.1 of PROTOCOL.md alone."""

from stranger_decoder import HEX_ID, need

ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
CEILINGS = (0, 15, 31, 63, 127, 300, 511, 1000)
TIME_ZERO = 1767225600
COUNT_LEVEL_MAX = 367


def unfold(value):
    return value // 2 if value % 2 == 0 else -(value + 1) // 2


class Bits:
    def __init__(self, data):
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def bits(self, count):
        need(self.at + count <= len(self.text), "columns.truncated")
        piece = self.text[self.at : self.at + count]
        self.at += count
        return int(piece, 2) if piece else 0

    def run(self):
        one = self.text.find("1", self.at)
        need(one >= 0, "columns.truncated")
        zeros = one - self.at
        self.at = one + 1
        return zeros

    def uniform(self, most):
        s = (most + 1).bit_length() - 1
        u = (1 << (s + 1)) - (most + 1)
        value = self.bits(s)
        return value if value < u else value * 2 + self.bits(1) - u

    def rice(self, k):
        return (self.run() << k) + self.bits(k)

    def golomb(self, k):
        zeros = self.run()
        need(zeros <= 52 - k, "columns.run")
        h = (1 << zeros) + self.bits(zeros)
        return ((h - 1) << k) + self.bits(k)

    def end(self):
        rest = self.text[self.at :]
        need(len(rest) < 8 and "1" not in rest, "columns.padding")

    def sizes(self, count):
        k = self.bits(4) if count else 0
        return [self.golomb(k) for _ in range(count)]

    def levels(self, count, most):
        if count == 0:
            return []
        least = self.uniform(most)
        if self.bits(1):
            span = self.uniform(most - least)
            return [least + self.uniform(span) for _ in range(count)]
        k = self.bits(4)
        return [least + self.rice(k) for _ in range(count)]

    def subset(self, items):
        count = self.uniform(len(items))
        others = count * 2 > len(items)
        told = len(items) - count if others else count
        k = self.bits(4) if told else 0
        indexes, following = set(), 0
        for _ in range(told):
            index = following + self.rice(k)
            need(index < len(items), "columns.index")
            indexes.add(index)
            following = index + 1
        return [item for index, item in enumerate(items) if (index in indexes) != others]

    def characters(self, count):
        return "".join(ALPHABET[self.bits(6)] for _ in range(count))

    def ids(self, count):
        all_hex = count > 0 and self.bits(1) == 1
        result = []
        for _ in range(count):
            if all_hex or self.bits(1):
                result.append(f"{self.bits(64):016x}")
            else:
                name = self.characters(self.bits(6) + 1)
                need(not HEX_ID.fullmatch(name), "columns.id")
                result.append(name)
        return result

    def id_set(self):
        hexes, texts = self.golomb(3), self.golomb(3)
        need(hexes + texts <= 2048, "columns.count")
        result, number = [], -1
        k = self.bits(6) if hexes else 0
        for _ in range(hexes):
            number += self.rice(k) + 1
            need(number < 1 << 64, "columns.id")
            result.append(f"{number:016x}")
        previous = ""
        for size in self.sizes(texts):
            shared = self.uniform(min(63, len(previous)))
            name = previous[:shared] + self.characters(size + 1)
            need(len(name) <= 64 and name > previous, "columns.id")
            need(not HEX_ID.fullmatch(name), "columns.id")
            previous = name
            result.append(name)
        return sorted(result)


def delta_columns(data, seq):
    bits = Bits(data)
    count, removals = bits.golomb(3), bits.golomb(0)
    need(1 <= count + removals <= 256, "delta.items")
    columns = {"ids": bits.ids(count)}
    columns["weights"] = [size + 1 for size in bits.sizes(count)]
    ceiling = CEILINGS[bits.bits(3)] if count else 0
    columns["success"] = [1000 - bits.uniform(ceiling) for _ in range(count)]
    columns["samples"] = bits.sizes(count)
    columns["updated"] = times(bits, count) if count else []
    columns["refs"] = refs(bits, count, seq) if count else []
    columns["removals"] = bits.ids(removals)
    bits.end()
    return columns


def times(bits, count):
    ordered = bits.bits(1)
    result = [TIME_ZERO + unfold(bits.golomb(25))]
    for size in bits.sizes(count - 1):
        result.append(result[-1] + (size if ordered else unfold(size)))
    return result


def refs(bits, count, seq):
    if bits.bits(1):
        return [0] * count
    signs = [sign for sign in (0, 1, -1) if bits.bits(1)]
    need(signs, "delta.refs")
    kinds = [signs[bits.uniform(len(signs) - 1)] for _ in range(count)]
    distances = iter(bits.sizes(sum(1 for sign in kinds if sign)))
    result = [sign * (seq - 1 - next(distances)) if sign else 0 for sign in kinds]
    need(all((ref > 0) - (ref < 0) == sign for ref, sign in zip(result, kinds)), "delta.refs")
    return result


def count_at(level):
    need(0 <= level <= COUNT_LEVEL_MAX, "beyond the count grid")
    return level if level < 16 else (level % 8 + 8) << (level // 8 - 1)


def release_columns(data, base):
    """What turns the ids of `base`, ascending, into the next."""
    bits = Bits(data)
    removals = bits.subset(base)
    left = [name for name in base if name not in removals]
    changed = bits.subset(left)
    kept = bits.subset(changed)
    fresh = bits.id_set()
    need(not set(fresh) & set(base), "release.ids")
    ids = sorted(changed + fresh)
    weights = bits.levels(len(ids), COUNT_LEVEL_MAX)
    devices = device_levels(bits, weights)
    here = sorted(left + fresh)
    trends = bits.subset(here)
    elsewhere = bits.id_set()
    need(not set(elsewhere) & set(here), "release.trend-ids")
    trends += elsewhere
    scores = bits.levels(len(trends), 1000)
    bits.end()
    return {
        "ids": ids,
        "weights": [count_at(level) for level in weights],
        "devices": [count_at(level) for level in devices],
        "kept": kept,
        "removals": removals,
        "trends": [{"id": name, "score": score} for name, score in zip(trends, scores)],
    }


def device_levels(bits, weights):
    if not weights:
        return []
    if bits.bits(1) == 0:
        return bits.levels(len(weights), COUNT_LEVEL_MAX)
    below = bits.levels(len(weights), 2 * COUNT_LEVEL_MAX)
    return [COUNT_LEVEL_MAX + weight - level for weight, level in zip(weights, below)]
