#!/usr/bin/env python3
"""Reads the segments of a hashdb database and answers queries, from storage-format.md alone.

Usage: reader.py DB ball ADDRESS_HEX RADIUS [--deleted ID,ID...]
       reader.py DB knn CODE_HEX K          [--deleted ID,ID...]

Prints one line a neighbour: distance, id, address in decimal. It reads only the segments, so the
database must have been sealed; --deleted names the ids of the family `tombstones`.
"""

import os
import struct
import sys


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc32c_table()


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value = TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def check(condition, what):
    if not condition:
        sys.exit(f"reader: {what}")


def superblock(path):
    """Section 2: the valid slot of the higher generation."""
    data = open(path, "rb").read()
    slots = []
    for slot in (data[:4096], data[4096:8192]):
        magic, version, code_bits, address_bits = struct.unpack_from("<8sHHB", slot, 0)
        (checksum,) = struct.unpack_from("<I", slot, 68)
        if magic == b"HASHDBSB" and version == 1 and checksum == crc32c(slot[:68]):
            (generation,) = struct.unpack_from("<Q", slot, 32)
            slots.append((generation, slot[16:32], code_bits, address_bits))
    check(slots, "no valid superblock")
    return max(slots)[1:]


class Segment:
    """Section 3."""

    def __init__(self, path, database_id, address_bits, code_bytes):
        data = open(path, "rb").read()
        magic, version, count, checksum = struct.unpack_from("<8sHHI", data, 0)
        check(magic == b"HASHDBSG" and version == 1, "not a segment of version 1")
        head = 64 + 32 * count
        check(crc32c(data[:12] + bytes(4) + data[16:head]) == checksum, "header checksum")
        check(data[16:32] == database_id, "segment of another database")
        number, length = struct.unpack_from("<QQ", data, 32)
        check(f"{number:012}.seg" == os.path.basename(path), "number and name differ")
        check(length == len(data), "file length")
        self.sections = {}
        for index in range(count):
            tag, offset, size, checksum, _ = struct.unpack_from("<8sQQII", data, 64 + 32 * index)
            section = data[offset : offset + size]
            check(offset % 64 == 0 and len(section) == size, "section range")
            check(crc32c(section) == checksum, f"checksum of {tag}")
            self.sections[tag.decode().strip()] = section
        self.address_bits = address_bits
        self.code_bytes = code_bytes
        self.rows = struct.unpack_from("<Q", self.sections["INFO"], 0)[0]
        self.ids = struct.unpack(f"<{self.rows}Q", self.sections["IDS"])
        self.addresses = struct.unpack(f"<{self.rows}I", self.sections["ADDRESS"])
        order = list(zip(self.addresses, self.ids))
        check(order == sorted(set(order)), "order of rows")

    def knn(self, code):
        width = self.code_bytes
        codes = self.sections["CODES"]
        for row in range(self.rows):
            other = int.from_bytes(codes[row * width : (row + 1) * width], "big")
            yield bin(code ^ other).count("1"), self.ids[row], self.addresses[row]

    def ball(self, address, radius):
        """Section 3.2: through the pair table if there is one."""
        high_bits = (self.address_bits + 1) // 2
        low_bits = self.address_bits - high_bits
        has_table = 4 * self.rows >= 1 << high_bits
        check(has_table == ("BALL.HO" in self.sections), "pair table where it must be")
        if not has_table:
            rows = range(self.rows)
        else:
            rows = self.candidates(address, radius, high_bits, low_bits)
        for row in rows:
            distance = bin(address ^ self.addresses[row]).count("1")
            if distance <= radius:
                yield distance, self.ids[row], self.addresses[row]

    def candidates(self, address, radius, high_bits, low_bits):
        def column(tag, kind, count):
            return struct.unpack(f"<{count}{kind}", self.sections[tag])

        n = self.rows
        high_offsets = column("BALL.HO", "I", (1 << high_bits) + 1)
        low_suffixes = column("BALL.LS", "H", n)
        low_offsets = column("BALL.LO", "I", (1 << low_bits) + 1)
        high_suffixes = column("BALL.HS", "H", n)
        positions = column("BALL.POS", "I", n)
        high, low = address >> low_bits, address & ((1 << low_bits) - 1)
        ra = radius // 2
        rb = radius - 1 - ra
        found = set()
        for half in range(1 << high_bits):
            if bin(half ^ high).count("1") <= ra:
                for row in range(high_offsets[half], high_offsets[half + 1]):
                    check(self.addresses[row] == half << low_bits | low_suffixes[row], "table A")
                    found.add(row)
        for half in range(1 << low_bits):
            if bin(half ^ low).count("1") <= rb:
                for entry in range(low_offsets[half], low_offsets[half + 1]):
                    row = positions[entry]
                    check(self.addresses[row] == high_suffixes[entry] << low_bits | half, "table B")
                    found.add(row)
        return found


def main():
    arguments = sys.argv[1:]
    deleted = set()
    if "--deleted" in arguments:
        at = arguments.index("--deleted")
        deleted = {int(text) for text in arguments[at + 1].split(",") if text}
        del arguments[at : at + 2]
    if len(arguments) != 4 or arguments[1] not in ("ball", "knn"):
        sys.exit(__doc__)
    folder, kind, hexadecimal, limit = arguments
    database_id, code_bits, address_bits = superblock(os.path.join(folder, "SUPERBLOCK"))
    segments = os.path.join(folder, "segments")
    found = []
    for name in sorted(os.listdir(segments)):
        if name.endswith(".seg"):
            segment = Segment(os.path.join(segments, name), database_id, address_bits, code_bits // 8)
            query = int(hexadecimal, 16)
            found += segment.knn(query) if kind == "knn" else segment.ball(query, int(limit))
    found = sorted(neighbor for neighbor in found if neighbor[1] not in deleted)
    if kind == "knn":
        found = found[: int(limit)]
    for neighbor in found:
        print(*neighbor)


main()
