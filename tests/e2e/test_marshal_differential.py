# SPDX-License-Identifier: GPL-2.0-or-later
"""The marshal walk against the interpreters' own marshal.loads().

Bodies that each interpreter wrote are damaged at random, and both judge them. What the
walk accepts must load as a code object: canonfs vouches for such a pyc, and one that
does not load fails an import that was only slow before. The other way round the walk
may be stricter, but not for a body that a compiler wrote.

CANONFS_BUILDDIR  where tests/tools/walk-pycs was built (./build)
CANONFS_LONG=1    20,000 bodies for each interpreter instead of 2,000 (minutes)
CANONFS_PYTHONS   further interpreters: commands, separated by colons
CANONFS_SEED      a seed other than the fixed one
"""

import glob
import os
import random
import shlex
import shutil
import struct
import subprocess

import pytest

BUILDDIR = os.environ.get("CANONFS_BUILDDIR", "./build")
WALK = os.path.join(BUILDDIR, "tests", "tools", "walk-pycs")
SEED = int(os.environ.get("CANONFS_SEED", "20240229"))
COUNT = 20000 if os.environ.get("CANONFS_LONG") == "1" else 2000
WALK_OK = 0

# Runs in every interpreter, 2.7 too: writes the magic, the header's size, the two parts
# of a body with a gap for one constant, and bodies.
MAKE_BODIES = r'''
import marshal, struct, sys
SOURCES = [
    "",
    "x = 1",
    "def f(a, b=2, *c, **d):\n    'doc'\n    return lambda: (a, c, d)\n",
    "class C(object):\n    x = u'\u20ac'\n    def m(self):\n        return [self for i in (1, 2)]\n",
    "import os\ntry:\n    os.a.b.c(x, y=3)\nexcept (IOError, ValueError):\n    raise\n",
    "def g(n):\n    if n in {1, 2, 3, 'q', (4, 5)}:\n        yield 1e300, -5.0, 3j, 10**30\n",
    "l = [123456789012345678901234567890, -4294967296, b'bytes', None, True, Ellipsis]\n",
]
if sys.version_info >= (3,):
    SOURCES += [
        "def f(a, *, k=1) -> int:\n    def inner():\n        nonlocal a\n        a += k\n    return inner\n",
        "def outer(p, q):\n    class K:\n        def get(self): return __class__, p, q\n    return K\n",
    ]
if sys.version_info >= (3, 8):
    SOURCES.append("def f(a, b, /, c, *, d): return (x := [y for y in a if (lambda: y)])\n")
MARK = 123456789
VALUES = [(), (1, ("a", ("b",))), [1, [2]], {1: (2, "x"), "k": None}, set([1]), frozenset([1, (2, 3)]),
          2**15, -2**31, 2**100, -2**64, 2**62, 1.5, float("inf"), 1e-5, 2.5j, u"\u20ac\U0001f600",
          u"x" * 300, b"\0\xff" * 9, StopIteration, Ellipsis, None, {(1, 2): frozenset()}]
if sys.version_info >= (3,):
    VALUES.append("a\ud800")
if sys.version_info >= (3, 14):
    VALUES.append(slice(1, None, (2, "s")))
if sys.version_info >= (3, 15):
    VALUES.append(frozendict({1: 2, "a": (3,)}))
bodies = []
for source in SOURCES:
    bodies.append(marshal.dumps(compile(source, "m.py", "exec")))
frame = marshal.dumps(compile("x = %d" % MARK, "m.py", "exec"))
mark = struct.pack("<i", MARK)
at = frame.index(mark) - 1
for value in VALUES:
    for version in set([0, 1, 2, marshal.version]):
        try:
            dumped = marshal.dumps(value, version)
        except ValueError:
            continue
        bodies.append(frame[:at] + dumped + frame[at + 5:])
if sys.version_info >= (3, 4):
    import importlib.util
    magic = importlib.util.MAGIC_NUMBER
else:
    import imp
    magic = imp.get_magic()
out = getattr(sys.stdout, "buffer", sys.stdout)
out.write(magic + struct.pack("<I", 16 if sys.version_info >= (3, 7) else 12 if sys.version_info >= (3, 3) else 8))
for body in [frame[:at], frame[at + 5:]] + bodies:
    out.write(struct.pack("<I", len(body)) + body)
'''

# Answers each body with one byte. Sizes of gigabytes are refused for want of memory.
JUDGE_BODIES = r'''
import marshal, os, resource, struct, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
code = type(compile("", "", "exec"))
source = getattr(sys.stdin, "buffer", sys.stdin)
while True:
    word = source.read(4)
    if not word:
        break
    body = source.read(struct.unpack("<I", word)[0])
    try:
        answer = b"A" if type(marshal.loads(body)) is code else b"N"
    except Exception:
        answer = b"R"
    os.write(1, answer)
'''


@pytest.fixture(scope="session", autouse=True)
def prerequisites():
    """Instead of conftest.py's: nothing is mounted here, so root is not needed."""
    if not os.access(WALK, os.X_OK):
        pytest.skip("%s is not built" % WALK)


def interpreters():
    root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    found = sorted(glob.glob(os.path.join(root, "versions", "*", "bin", "python")))
    found += [p for p in sorted(glob.glob("/usr/bin/python3.*")) if p[-1].isdigit()]
    if shutil.which("pypy3"):
        found.append(shutil.which("pypy3"))
    return found + [c for c in os.environ.get("CANONFS_PYTHONS", "").split(":") if c]


def framed(chunks):
    return b"".join(struct.pack("<I", len(c)) + c for c in chunks)


def unframed(data):
    chunks, at = [], 0
    while at < len(data):
        (n,) = struct.unpack_from("<I", data, at)
        chunks.append(data[at + 4 : at + 4 + n])
        at += 4 + n
    return chunks


def make_bodies(command):
    run = subprocess.run(
        command + ["-B", "-c", MAKE_BODIES], stdout=subprocess.PIPE, check=True, timeout=60
    )
    header_size = struct.unpack_from("<I", run.stdout, 4)[0]
    header = run.stdout[:4].ljust(header_size, b"\0")
    before, after, *bodies = unframed(run.stdout[8:])
    return header, (before, after), bodies


def judge(command, bodies):
    """One letter for each: Accepted, Not code, Refused, or Crashed (2.7 may abort)."""
    answers = b""
    while len(answers) < len(bodies):
        run = subprocess.run(
            command + ["-B", "-c", JUDGE_BODIES],
            input=framed(bodies[len(answers) :]),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=900,
        )
        answers += run.stdout
        if len(answers) < len(bodies):
            assert run.returncode != 0
            answers += b"C"
    return answers


def walk(header, bodies):
    data = framed(header + b for b in bodies)
    run = subprocess.run([WALK, "--stdin"], input=data, stdout=subprocess.PIPE, check=True)
    assert len(run.stdout) == len(bodies)
    return run.stdout


TYPE_CODES = b"0NFTS.iIfgxylstRr([{<>cu?aAzZ):}"


def mutate(rng, body):
    body = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(body))
        kind = rng.randrange(8)
        if kind == 0:
            body[at] = rng.randrange(256)
        elif kind == 1:
            body[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            body[at] = rng.choice(TYPE_CODES) | rng.choice((0, 0x80))
        elif kind == 3:
            body[at] = (body[at] + rng.choice((-1, 1))) % 256
        elif kind == 4:  # lengths, counts, indices
            body[at : at + 4] = struct.pack(
                "<i", rng.choice((0, 1, 2, 3, 4, 5, 7, 255, -1, 2**31 - 1, -(2**31)))
            )
        elif kind == 5:
            del body[at : at + rng.choice((1, 1, 2, 4, 5))]
        elif kind == 6:
            other = rng.randrange(len(body))
            body[at:at] = body[other : other + rng.choice((1, 2, 5, 9))]
        else:
            other = rng.randrange(len(body))
            n = rng.choice((1, 2, 3, 5))
            body[at : at + n] = body[other : other + n]
        if not body:
            body = bytearray(b"N")
    return bytes(body)


SINGLETONS = (b"N", b"T", b".", b"S")
LEAVES = (
    b"i\1\0\0\0", b"l\1\0\0\0\1\0", b"g\0\0\0\0\0\0\xf0?", b"s\1\0\0\0\xff",
    b"u\2\0\0\0\xc3\xa9", b"u\3\0\0\0\xed\xa0\x80", b"y" + bytes(16), b"f\0031.5",
    b"I\1\0\0\0\0\0\0\0",
)  # fmt: skip
ODD_LEAVES = (
    b"0", b"l\1\0\0\0\0\0", b"l\2\0\0\0\1\0\xff\xff", b"f\2.x", b"f\0", b"x\0011\1-",
    b"u\2\0\0\0\xc3(", b"u\3\0\0\0\xe0\x80\x80", b"t\1\0\0\0x", b"t\1\0\0\0\xff",
    b"z\1x", b"Z\1y", b"a\1\0\0\0\xe9", b"A\1\0\0\0z", b"\xce", b"?", b"", b"R\0\0\0\0",
)  # fmt: skip


def invent(rng, depth):
    """An object of any kind, which need not make sense: lists in sets, refs to nothing."""
    kind = rng.choice("LLLLLr(([<<>>{") if depth else "L"
    if not rng.randrange(25):
        kind = rng.choice("):}?")
    flag = rng.choice((0, 0, 0, 0x80))
    if kind == "?":
        return rng.choice(ODD_LEAVES)
    if kind == "L":
        leaf = rng.choice(SINGLETONS + LEAVES)
        return leaf if leaf in SINGLETONS else bytes((leaf[0] | flag,)) + leaf[1:]
    if kind == "r":
        return b"r" + struct.pack("<i", rng.randrange(3))
    n = 3 if kind == ":" else rng.choice((0, 1, 1, 2))
    head = bytes((ord(kind) | flag,))
    if kind == ")":
        head += bytes((n,))
    elif kind in "([<>":
        head += struct.pack("<i", n)
    pairs = 2 if kind in "{}" else 1
    items = b"".join(invent(rng, depth - 1 if depth else 0) for _ in range(n * pairs))
    return head + items + (b"0" if kind in "{}" else b"")


@pytest.mark.parametrize("command", interpreters())
def test_never_accepts_what_loads_refuses(command):
    argv = shlex.split(command)
    header, (before, after), bodies = make_bodies(argv)
    # "R" for a constant that only newer loaders, or none, take back: not a real body
    real = [b for b, a in zip(bodies, judge(argv, bodies)) if a == ord("A")]
    assert len(real) > 30
    assert set(walk(header, real)) == {WALK_OK}

    print("seed %d" % SEED)
    rng = random.Random(SEED)
    mutants = [mutate(rng, rng.choice(real)) for _ in range(COUNT // 2)]
    mutants += [before + invent(rng, 3) + after for _ in range(COUNT // 2)]
    verdicts = judge(argv, mutants)
    statuses = walk(header, mutants)
    pairs = list(zip(verdicts, statuses))
    print(
        "%s: %d bodies, loads accepts %d, the walk %d of these; %d crashes"
        % (
            command,
            len(mutants),
            verdicts.count(b"A"),
            pairs.count((ord("A"), WALK_OK)),
            verdicts.count(b"C"),
        )
    )
    wrong = [
        (chr(v), m)
        for (v, s), m in zip(pairs, mutants)
        if s == WALK_OK and v != ord("A")
    ]
    assert wrong == []
    assert pairs.count((ord("A"), WALK_OK)) > COUNT // 20
