# SPDX-License-Identifier: GPL-2.0-or-later
"""A small tree that has bytecode of every verdict, each a different number of times, with
what the mount has to say of it: by construction, not by canonfs's own judgement."""
import importlib.util
import marshal
import os
import pathlib
import struct
import sys

MAGIC = importlib.util.MAGIC_NUMBER
TAG = sys.implementation.cache_tag
TEXT = "x = 1\n"
BODY = marshal.dumps(compile(TEXT, "made.py", "exec"))
EMBEDDED = 1600000000


def header(flags=0, mtime=EMBEDDED, size=len(TEXT), magic=MAGIC):
    return magic + struct.pack("<III", flags, mtime & 0xffffffff, size)


def hashed(flags, text=TEXT):
    return MAGIC + struct.pack("<I", flags) + importlib.util.source_hash(text.encode())


# verdict: (how many, reason, bytes of the pyc, mtime of the source or None for no source)
KINDS = {
    "fresh": (3, "matches", header() + BODY, EMBEDDED),
    "restamped": (5, "canonical", header() + BODY, 0),
    "stale": (2, "size", header(size=99) + BODY, 0),
    "hash-checked": (4, "hash-kept", hashed(3) + BODY, 0),
    "hash-unchecked": (1, "unchecked", hashed(1) + BODY, 0),
    "orphan": (6, "no-source", header() + BODY, None),
    "foreign": (7, "magic", header(magic=b"\x01\x02\r\n") + BODY, 0),
    "corrupt": (8, "short", header()[:11], 0),
    "sourceless": (9, "legacy", header() + BODY, None),
}


def make_paths(root):
    """{path relative to root: (verdict, reason)} of such a tree."""
    found = {}
    for verdict, (_, reason, _, _) in KINDS.items():
        for path in pathlib.Path(root, verdict).rglob("*.pyc"):
            found[os.path.relpath(path, root)] = (verdict, reason)
    return found


def make(root):
    """Makes it; the same as make_paths()."""
    made = {}
    for verdict, (count, reason, data, mtime) in KINDS.items():
        folder = pathlib.Path(root, verdict)
        cache = folder if verdict == "sourceless" else folder / "__pycache__"
        cache.mkdir(parents=True)
        for number in range(count):
            if mtime is not None:
                source = folder / f"m{number}.py"
                source.write_text(TEXT)
                os.utime(source, (mtime, mtime))
            tag = "" if verdict == "sourceless" else f".{TAG}"
            pyc = cache / f"m{number}{tag}.pyc"
            pyc.write_bytes(data)
            made[os.path.relpath(pyc, root)] = (verdict, reason)
    return made
