# SPDX-License-Identifier: GPL-2.0-or-later
"""canonfs verify: what real interpreters compiled is proved; whatever was changed is not,
and is disproved where the interpreter is the file's own; and a mount vouches for exactly the
proved."""
import base64
import contextlib
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import time

import jsonschema
import pytest

from conftest import CANONFS, TOP, image, missing, mounted, run, wait_until
from pythons import ENVIRONMENT, Python, bound_read_only, header, machine_pythons, write

SCHEMA = json.loads((TOP / "cli/schema/verify.json").read_text())
PYTHONS = machine_pythons()
CPYTHONS = [python for python in PYTHONS if not python.is_pypy]
STAMP = 1600000000

COMPILE = r'''
import base64, json, marshal, sys
print(json.dumps([base64.b64encode(marshal.dumps(compile(
    base64.b64decode(text), "elsewhere/made.py", "exec", 0, True))).decode("ascii")
    for text in json.loads(sys.stdin.read())]))
'''


def encoded(text):
    return text if isinstance(text, bytes) else text.encode()


def bodies(python, texts, level=0):
    """The marshalled code of each text; hashes, and so the order of sets, differ each time."""
    stdin = json.dumps([base64.b64encode(encoded(text)).decode() for text in texts])
    command = [word for word in python.command("-c", COMPILE, level=level) if word != "-E"]
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=300,
                          env={**ENVIRONMENT, "PYTHONHASHSEED": "random"})
    assert done.returncode == 0, f"{python}: {done.stderr[-2000:]}"
    return [base64.b64decode(body) for body in json.loads(done.stdout)]


def pyc_of(python, source, level=0):
    return pathlib.Path(python.cached(str(source), level))


def put(python, source, text, body, level=0, flags=0, mtime=0):
    """A source with bytecode of that body, which says a time that is not the source's."""
    write(source, encoded(text), mtime * 10**9)
    pyc = pyc_of(python, source, level)
    write(pyc, header(python, STAMP, len(encoded(text)), flags) + body)
    return pyc


def verify(*words, status=0, json_too=True):
    """The report, which fits its schema."""
    words = [CANONFS, "verify", *words] + (["--json"] if json_too else [])
    done = run(*words, check=False)
    assert status in (None, done.returncode), f"{done.returncode}: {done.stdout}{done.stderr}"
    if not json_too:
        return done
    assert done.stderr == ""
    report = json.loads(done.stdout)
    jsonschema.Draft7Validator(SCHEMA).validate(report)
    assert report["pycs"] == sum(report[name] for name in
                                 ("proved", "disproved", "unknown", "not_tried"))
    assert report["pycs"] == sum(reason["count"] for reason in report["reasons"])
    return report


EVERY = [word for result in ("proved", "disproved", "unknown", "not-tried")
         for word in ("--list", result)]


def outcomes(*words, status=0):
    """Path to (result, reason) of every file."""
    report = verify(*EVERY, *words, status=status)
    assert len(report["files"]) == report["pycs"]
    return {pathlib.Path(file["path"]): (file["result"], file["reason"])
            for file in report["files"]}


@pytest.fixture
def cache(folder):
    place = folder / "cache"
    place.mkdir(mode=0o700)
    return place / "cache.db"


def own_python(python, folder):
    """A copy of an interpreter with a prefix of its own, in which tests may write."""
    about = python.json("import json, os, sys; print(json.dumps("
                        "[os.path.dirname(os.__file__), os.path.realpath(sys.executable)]))")
    library = pathlib.Path(about[0])
    ours = folder / "lib" / library.name
    ours.mkdir(parents=True)
    for entry in library.iterdir():
        if entry.name not in ("site-packages", "dist-packages", "__pycache__"):
            (ours / entry.name).symlink_to(entry)
    (folder / "bin").mkdir()
    version = "{}.{}".format(*python.version)
    shutil.copy2(about[1], folder / "bin" / f"python{version}")
    (folder / "site").mkdir()
    return Python(f"own {version}", folder / "bin" / f"python{version}")


def ids(python):
    return python.name


# ---- what interpreters wrote ----

@pytest.mark.parametrize("python", PYTHONS, ids=ids)
def test_libraries_are_proved(python):
    library = python.json("import json, os; print(json.dumps(os.path.dirname(os.__file__)))")
    report = verify(*(f"{library}/{name}" for name in ("json", "email", "unittest", "sqlite3")),
                    "--no-record")
    assert report["cache"] is None and report["recorded"] == 0
    assert report["proved"] == report["pycs"] > 30
    assert {row["version"] for row in report["interpreters"]} == {
        "pypy" * python.is_pypy + "{}.{}".format(*python.version)}


# Every kind of constant and scope; what a version does not know is left out for it.
ZOO = [
    ((2, 7), "x = [1e400 - 1e400, -0.0, 0.0, 0, False, 1, True, 1.0, None, -1e400]\n"),
    ((2, 7), "x = [0j, -0j, complex(1, -0.0), 1j, 1e400j]\n"),
    ((2, 7), "x = [2**31 - 1, 2**31, -2**31, 2**63, 10**100, -10**100, 0x7fff << 15]\n"),
    ((2, 7), "x = ['a', u'a', b'a', '', b'', u'\\u20ac', u'\\ud800', '\\x00\\xff', 'a b' * 3]\n"),
    ((2, 7), "x = ((), (1,), ((1, 2.0), (1.0, 2)), ('a', (b'a', (u'a',))))\n"),
    ((2, 7), "def f(x):\n    return x in {'a', 'b', 'c', 1, 2.0, None, ('d', 'e')}\n"),
    ((2, 7), "def f(x):\n    'doc'\n    def g(y):\n        return lambda z: x + y + z\n"
             "    return [g(i) for i in x if i]\nclass C(object):\n    'doc'\n    a = 1\n"
             "    def m(self):\n        return {k: {v for v in self.a} for k in self}\n"),
    ((2, 7), "# -*- coding: latin-1 -*-\nx = u'\\xe9'\r\ny = 2\r\n"),
    ((2, 7), "def f():\n    try:\n        with open(f) as g:\n            yield g\n"
             "    except (OSError, IOError):\n        raise\n    finally:\n        assert f, 'x'\n"),
    ((2, 7), ""),
    ((2, 7), "x = {}\n".format(tuple(range(2000)))),
    ((3, 6), "x = ...\nasync def f(*a: int, b=1, **k) -> str:\n    nonlocal_ = f'{a!r:>{b}}'\n"
             "    async for i in a:\n        yield i\n    return_ = [j async for j in f()]\n"),
    ((3, 8), "def f(a, /, b, *, c):\n    return (d := a) + b + c + d\n"),
    ((3, 10), "def f(x):\n    match x:\n        case {'a': [1, *rest]} | [2, *rest]:\n"
              "            return rest\n        case C(a=0.0):\n            return x[1:2:3]\n"),
    ((3, 11), "def f():\n    try:\n        pass\n    except* OSError as e:\n        raise\n"),
    ((3, 12), "class C[T: (int, str)]:\n    type A = list[T]\n    def f[S](self, x: S) -> T:\n"
              "        self.a = self.b = [y for y in x]\n        return f'{f'{x}'}'\n"),
]


@pytest.mark.parametrize("python", PYTHONS, ids=ids)
def test_a_zoo_is_proved(python, folder):
    texts = [text for version, text in ZOO if python.version >= version]
    levels = (0, 1, 2) if python.version >= (3, 5) else (0, 1)
    for level in levels:
        for number, body in enumerate(bodies(python, texts, level)):
            put(python, folder / f"zoo/m{number}.py", texts[number], body, level)
    report = verify(folder / "zoo", "--no-record", "--python", python.program)
    assert report["proved"] == report["pycs"] == len(texts) * len(levels)


# Pairs of programs that differ; an edit turns one into the other, of the same size.
EDITS = {
    "operator": ("def f(a, b):\n    return a + b\n", "def f(a, b):\n    return a - b\n"),
    "constant": ("x = 1\n", "x = 2\n"),
    "type": ("x = 1.0\n", "x = 100\n"),
    "bool": ("x = [True ]\n", "x = [   1 ]\n"),
    "zero": ("x =  0.0\n", "x = -0.0\n"),
    "nan": ("x = 1e400 - 1e400\n", "x = 1e400 + 1e400\n"),
    "complex": ("x = [ 0j]\n", "x = [-0j]\n"),
    "kind": ("x = [u'a', b'b']\n", "x = [b'a', u'b']\n"),
    "text": ("x = 'abc'\n", "x = 'abd'\n"),
    "order": ("a = 1\nb = 2\n", "b = 2\na = 1\n"),
    "name": ("abc = 1\n", "abd = 1\n"),
    "argument": ("def f(a, b): pass\n", "def f(b, a): pass\n"),
    "default": ("def f(a, b=1): pass\n", "def f(a, b=2): pass\n"),
    "docstring": ("'''one'''\nx = 1\n", "'''two'''\nx = 1\n"),
    "line": ("x = 1\n\ny = 2\n", "\nx = 1\ny = 2\n"),
    "member": ("def f(x): return x in {'a', 'b'}\n", "def f(x): return x in {'a', 'c'}\n"),
    "tuple": ("x = (1, (2, 3))\n", "x = ((1, 2), 3)\n"),
    "nested": ("class C(object):\n  def f(self):\n    return lambda: 1\n",
               "class C(object):\n  def f(self):\n    return lambda: 2\n"),
    "big": ("x = 10**30\n", "x = 10**31\n"),
    "flags": ("def f():\n    yield 1\n", "def f():\n    return 1\n"),
    "global": ("def f():\n    global x\n    x = 1\n", "def f():\n    pass\n    x = 1\n"),
    "star": ("def f(*a): pass\n", "def f(**a): pass\n"),
}


def same_size(one, other):
    """Both texts, the shorter one with a comment at its end."""
    size = max(len(one), len(other)) + 1
    return [text + "#" * (size - len(text)) for text in (one, other)]


def put_edits(python, tree):
    """Path to whether the source was edited, of each edit and of each original."""
    pairs = [same_size(*pair) for pair in EDITS.values()]
    originals = bodies(python, [one for one, _ in pairs])
    expected = {}
    for name, (one, other), body in zip(EDITS, pairs, originals):
        expected[put(python, tree / "edited" / f"{name}.py", other, body)] = True
        expected[put(python, tree / "original" / f"{name}.py", one, body)] = False
    return expected


@pytest.mark.parametrize("python", CPYTHONS, ids=ids)
def test_edits_are_disproved(python, folder):
    own = own_python(python, folder / "own")
    expected = put_edits(python, folder / "own/site")
    found = outcomes(folder / "own/site", "--no-record", "--python", own.program, status=2)
    assert found == {path: ("disproved", "differs") if edited else ("proved", "same")
                     for path, edited in expected.items()}


@pytest.mark.parametrize("python", PYTHONS, ids=ids)
def test_edits_elsewhere_are_disproved_by_who_is_named(python, folder):
    expected = put_edits(python, folder / "tree")
    found = outcomes(folder / "tree", "--no-record", "--python", python.program, status=2)
    assert found == {path: ("disproved", "differs") if edited else ("proved", "same")
                     for path, edited in expected.items()}


def says_another_reads_it(tree, home="/nowhere"):
    """A virtual environment of an interpreter."""
    write(tree / "pyvenv.cfg", f"home = {home}\nversion = 3.11.2\n")


@pytest.mark.parametrize("python", PYTHONS, ids=ids)
def test_edits_of_what_another_reads_are_unknown(python, folder):
    expected = put_edits(python, folder / "tree")
    says_another_reads_it(folder)
    own = own_python(python, folder / "own")  # it is one of PATH, and none of the tree's
    done = run(CANONFS, "verify", folder / "tree", "--no-record", "--json", *EVERY, check=False,
               env={**os.environ, "PATH": f"{folder}/own/bin"})
    assert done.returncode == 1, own
    found = {pathlib.Path(file["path"]): (file["result"], file["reason"])
             for file in json.loads(done.stdout)["files"]}
    assert found == {path: ("unknown", "other-compiler") if edited else ("proved", "same")
                     for path, edited in expected.items()}


def test_the_machine_s_own_reads_what_nobody_else_does(folder):
    """A package in no prefix: the interpreter in /usr/bin reads it."""
    one, other = same_size("VERIFY = True\n", "VERIFY = False\n")
    put(SYSTEM, folder / "app/m.py", other, bodies(SYSTEM, [one])[0])
    report = verify(folder / "app", "--no-record", status=2)
    assert [row["program"] for row in report["interpreters"]] == [os.path.realpath(SYSTEM.program)]


@pytest.mark.parametrize("spaces", [" ", ""])
def test_the_interpreter_of_a_virtual_environment(folder, spaces):
    """Wherever it is; of the same magic there are others."""
    own = own_python(SYSTEM, folder / "own")
    venv = folder / "venv"
    write(venv / "pyvenv.cfg", f"home{spaces}={spaces}{folder}/own/bin{spaces}\r\nversion = 3.11.2\n")
    expected = put_edits(SYSTEM, venv / "lib/site-packages")
    report = verify(venv, "--no-record", *EVERY, status=2)
    assert {pathlib.Path(file["path"]): file["result"] for file in report["files"]} == {
        path: "disproved" if edited else "proved" for path, edited in expected.items()}
    assert [row["program"] for row in report["interpreters"]] == [own.program]


def test_an_installation_within_a_tree(folder):
    """Its bin has the interpreter: no other disproves what lies there."""
    tree = folder / "tree"
    body = bodies(SYSTEM, ["x = 1\n"])[0]
    edited = put(SYSTEM, tree / "usr/share/app/m.py", "x = 2\n", body)
    (tree / "usr/bin").mkdir()
    shutil.copy2("/bin/false", tree / "usr/bin/python3.11")
    assert outcomes(tree, "--no-record", status=1) == {edited: ("unknown", "other-compiler")}


# ---- levels, placement, kinds ----

LEVELLED = "'''doc'''\ndef f(x):\n    'doc'\n    assert x\n    return __debug__\n"


@pytest.mark.parametrize("python", CPYTHONS, ids=ids)
def test_levels(python, folder):
    """A body belongs under the name of its level only; .pyo is for both -O and -OO."""
    own = own_python(python, folder / "own")
    has_levels = python.version >= (3, 5)
    expected = {}
    for level in (0, 1, 2):
        body = bodies(python, [LEVELLED], level)[0]
        for name in (0, 1, 2) if has_levels else (0, 1):
            right = level == name or not has_levels and level == 2 and name == 1
            pyc = put(python, folder / f"own/site/{level}{name}/m.py", LEVELLED, body, name)
            expected[pyc] = ("proved", "same") if right else ("disproved", "differs")
    assert outcomes(folder / "own/site", "--no-record", "--python", own.program,
                    status=2) == expected


@pytest.mark.parametrize("python", [python for python in PYTHONS if python.version >= (3, 7)],
                         ids=ids)
def test_hash_pycs(python, folder):
    """Their code is verified, whatever the hash is."""
    body = bodies(python, ["x = 1\n"])[0]
    for flags in (1, 3):
        put(python, folder / f"tree/m{flags}.py", "x = 1\n", body, flags=flags)
    assert verify(folder / "tree", "--no-record", "--python", python.program)["proved"] == 2


SYSTEM = PYTHONS[0]


def test_not_tried(folder):
    """What there is nothing to prove of is counted by why."""
    body = bodies(SYSTEM, ["x = 1\n"])[0]
    tree = folder / "tree"
    names = {"good": ("proved", "same")}
    put(SYSTEM, tree / "good.py", "x = 1\n", body)
    names["orphan"] = ("not-tried", "no-source")
    put(SYSTEM, tree / "orphan.py", "x = 1\n", body)
    (tree / "orphan.py").unlink()
    names["larger"] = ("not-tried", "size")
    put(SYSTEM, tree / "larger.py", "x = 1\n", body)
    write(tree / "larger.py", "x = 10\n")
    names["cut"] = ("not-tried", "body")
    put(SYSTEM, tree / "cut.py", "x = 1\n", body[:-1])
    names["magic"] = ("not-tried", "magic")
    write(pyc_of(SYSTEM, tree / "magic.py"), b"\1\2\r\n" + bytes(12) + body)
    names["short"] = ("not-tried", "short")
    write(pyc_of(SYSTEM, tree / "short.py"), SYSTEM.magic)
    for name in ("short", "magic"):
        write(tree / f"{name}.py", "x = 1\n")
    found = outcomes(tree, "--no-record")
    assert found == {pyc_of(SYSTEM, tree / f"{name}.py"): outcome
                     for name, outcome in names.items()}


def test_no_level(folder):
    source = folder / "tree/m.py"
    pyc = put(SYSTEM, source, "x = 1\n", bodies(SYSTEM, ["x = 1\n"])[0])
    odd = pyc.with_name(pyc.name.replace(".pyc", ".opt-3.pyc"))
    pyc.rename(odd)
    assert outcomes(folder / "tree", "--no-record") == {odd: ("not-tried", "no-level")}


def test_no_interpreter(folder):
    """The name of what is missing is said; the exit status tells."""
    old = [python for python in CPYTHONS if python.version == (3, 6)]
    if not old:
        pytest.skip("no Python 3.6")
    body = bodies(old[0], ["x = 1\n"])[0]
    write(folder / "tree/m.py", "x = 1\n")
    write(folder / "tree/__pycache__/m.cpython-35.pyc",
          header(old[0], STAMP, 6, magic=struct.pack("<H", 3351) + b"\r\n") + body)
    report = verify(folder / "tree", "--no-record", status=1)
    assert report["not_tried"] == 1
    assert "install python3.5, or name it with --python" in report["reasons"][0]["text"]


def test_a_source_that_does_not_compile(folder):
    put(SYSTEM, folder / "tree/m.py", "x = (\n", bodies(SYSTEM, ["x = 1\n"])[0])
    report = verify(folder / "tree", "--no-record", status=1)
    assert [file["reason"] for file in report["files"]] == ["not-compiled"]
    assert report["files"][0]["error"].startswith("SyntaxError: ")


def test_nested_file_names(folder):
    """A function that says it is of another file is not what a compiler writes."""
    text = "def f(): pass\n"
    body = bodies(SYSTEM, [text])[0]
    script = ("import base64, json, marshal, sys; c = marshal.loads(base64.b64decode(sys.argv[1]));"
              "f = [k for k in c.co_consts if hasattr(k, 'co_name')][0];"
              "n = f.replace(co_filename='other.py');"
              "c = c.replace(co_consts=tuple(n if k is f else k for k in c.co_consts));"
              "print(json.dumps(base64.b64encode(marshal.dumps(c)).decode()))")
    other = base64.b64decode(SYSTEM.json(script, base64.b64encode(body).decode()))
    put(SYSTEM, folder / "tree/m.py", text, other)
    report = verify(folder / "tree", "--no-record", status=2)
    assert report["files"][0]["differs_in"] == "file name"


# ---- the cache ----

def test_recorded_and_known(folder, cache):
    body = bodies(SYSTEM, ["x = 1\n"])[0]
    for name in "abc": # the same content three times is verified once
        put(SYSTEM, folder / "tree" / name / "m.py", "x = 1\n", body)
    linked = folder / "tree/a/n.py"
    write(linked, "x = 1\n")
    os.link(pyc_of(SYSTEM, folder / "tree/a/m.py"), pyc_of(SYSTEM, linked))
    first = verify(folder / "tree", "--cache", cache, "--list", "proved")
    assert first["proved"] == 4 and first["recorded"] == 1 and first["cache"] == str(cache)
    assert {file["reason"] for file in first["files"]} == {"same"}
    second = verify(folder / "tree", "--cache", cache, "--list", "proved")
    assert second["recorded"] == 0 and second["interpreters"] == []
    assert {file["reason"] for file in second["files"]} == {"known-same"}
    exported = run(CANONFS, "cache", "export", "-", "--cache", cache).stdout.splitlines()
    assert len(exported) == 3 and re.search(r" 0 same \d+ CPython 3\.\d+\.\d+", exported[1])


def vouched(tree, point, options):
    """The modules whose bytecode the mount serves so that it matches."""
    found = set()
    with mounted(tree, point, options) as mount:
        for source in mount.glob("*.py"):
            served = pyc_of(SYSTEM, source).read_bytes()
            if struct.unpack("<I", served[8:12])[0] == int(source.stat().st_mtime):
                found.add(source.stem)
    return found


def test_verified_mounts_vouch_for_the_proved(folder, cache):
    """For exactly those, and under no policy for what is disproved, though its time agrees."""
    own = own_python(SYSTEM, folder / "own")
    tree, point = folder / "own/site", folder / "mnt"
    point.mkdir()
    one, other = same_size("x = 1\n", "x = 2\n")
    body, other_body, optimised = (bodies(SYSTEM, [one])[0], bodies(SYSTEM, [other])[0],
                                   bodies(SYSTEM, [LEVELLED], 1)[0])
    put(SYSTEM, tree / "proved.py", one, body)
    put(SYSTEM, tree / "edited.py", other, body)
    put(SYSTEM, tree / "matching.py", other, body, mtime=STAMP)
    put(SYSTEM, tree / "levelled.py", LEVELLED, optimised)
    options = f"cache={cache},trust="
    assert vouched(tree, point, options + "verified") == {"matching"} # nobody knows better yet
    report = verify(tree, "--cache", cache, "--python", own.program, status=2)
    assert (report["proved"], report["disproved"]) == (1, 3)
    put(SYSTEM, tree / "later.py", "x = 12345\n", bodies(SYSTEM, ["x = 12345\n"])[0])
    put(SYSTEM, tree / "same.py", other, other_body) # of another body: not proved either
    assert vouched(tree, point, options + "verified") == {"proved"}
    assert vouched(tree, point, options + "canonical") == {"proved", "later", "same"}
    assert vouched(tree, point, options + "size") == {"proved", "later", "same"}
    assert outcomes(tree, "--cache", cache, "--python", own.program, status=2)[
        pyc_of(SYSTEM, tree / "edited.py")] == ("disproved", "known-differs")


def test_a_busy_cache(folder, cache):
    """A mount has the database; the proofs are nobody's, and the next mount knows them."""
    tree, point = folder / "tree", folder / "mnt"
    point.mkdir()
    put(SYSTEM, tree / "m.py", "x = 1\n", bodies(SYSTEM, ["x = 1\n"])[0])
    with mounted(tree, point, f"cache={cache}"):
        assert verify(tree, "--no-record")["proved"] == 1
        other = cache.with_name("other.db")
        assert verify(tree, "--cache", other)["recorded"] == 1
        run(CANONFS, "cache", "export", folder / "proofs", "--cache", other)
        assert verify(tree, "--cache", cache)["recorded"] == 1
        run(CANONFS, "cache", "import", folder / "proofs", "--cache", cache)
        run(CANONFS, "cache", "export", folder / "proofs", "--cache", cache)
    assert vouched(tree, point, f"cache={cache},trust=verified") == {"m"}


def test_proofs_that_cannot_be_replaced(folder, cache):
    """Said at once, with what to do; and it can be done."""
    tree = folder / "tree"
    put(SYSTEM, tree / "m.py", "x = 1\n", bodies(SYSTEM, ["x = 1\n"])[0])
    cache.with_name("cache.db.proofs").write_text("x")
    done = verify(tree, "--cache", cache, status=66, json_too=False)
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert "its mode is not 0600" in done.stderr and "--no-record" in done.stderr
    assert verify(tree, "--no-record")["proved"] == 1
    assert verify(tree, "--cache", cache.with_name("other.db"))["recorded"] == 1


# ---- interpreters that fail ----

SLOW = "def f(a):\n    return [a, (a, 1), {a: 'b'}, lambda: a]\n" * 40000


def put_slow(folder):
    """Some files, and one that takes long to compile."""
    texts = [f"x = {number}\n" for number in range(20)]
    for number, body in enumerate(bodies(SYSTEM, texts)):
        put(SYSTEM, folder / f"tree/m{number}.py", texts[number], body)
    return put(SYSTEM, folder / "tree/slow.py", SLOW, bodies(SYSTEM, ["x = 1\n"])[0])


def children_of(pid):
    return [int(child) for child in
            pathlib.Path(f"/proc/{pid}/task").glob("*/children")
            for child in child.read_text().split()]


def processor_time(pid):
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0


def kill_busy(process, killed):
    """Kills what compiles for long; never says that it is done."""
    for pid in children_of(process.pid):
        if pid not in killed and processor_time(pid) > 0.7:
            os.kill(pid, signal.SIGSEGV)
            killed.add(pid)


def test_a_crash_costs_one_file(folder):
    slow = put_slow(folder)
    command = [CANONFS, "verify", folder / "tree", "--no-record", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        killed = set() # one after the other: each interpreter of the magic is asked
        assert wait_until(lambda: process.poll() is not None or kill_busy(process, killed), 60)
        report = json.loads(process.communicate(timeout=60)[0])
    finally:
        process.kill()
        process.wait()
    assert killed and process.returncode == 1 and report["proved"] == 20
    assert [(file["path"], file["reason"]) for file in report["files"]] == [(str(slow), "crashed")]


def test_a_source_that_takes_too_long(folder):
    slow = put_slow(folder)
    report = verify(folder / "tree", "--no-record", "--timeout", "1", status=1)
    assert report["proved"] == 20
    assert [(file["path"], file["reason"]) for file in report["files"]] == [(str(slow), "timed-out")]


@pytest.mark.skipif(SYSTEM.version < (3, 11), reason="the body is of the layout of 3.11")
def test_bodies_that_kill_comparers(folder):
    """Tuples of references to tuples of references: 2^60 items to whoever follows them all."""
    levels = b"".join(b"\xa9\2" + 2 * (b"r" + struct.pack("<I", n)) for n in range(60))
    body = (b"c" + bytes(12) + b"\1\0\0\0" + bytes(4) + b"s\2\0\0\0\x97\0" # to the instructions
            + b")\1)\x3d\xa9\1N" + levels + b")\0)\0s\0\0\0\0" # constants, names, variables
            + 3 * b"z\1m" + b"\1\0\0\0s\0\0\0\0s\0\0\0\0")
    good = bodies(SYSTEM, ["x = ()\n"])[0]
    put(SYSTEM, folder / "tree/m.py", "x = ()\n", body)
    put(SYSTEM, folder / "tree/n.py", "x = ()\n", good)
    found = outcomes(folder / "tree", "--no-record", status=2)
    assert found == {pyc_of(SYSTEM, folder / "tree/m.py"): ("disproved", "differs"),
                     pyc_of(SYSTEM, folder / "tree/n.py"): ("proved", "same")}


# ---- images ----

@contextlib.contextmanager
def changed_copy(root, folder):
    """An image in which files may be changed, without its being copied."""
    for name in ("upper", "work", "copy"):
        (folder / name).mkdir()
    done = subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                           f"lowerdir={root},upperdir={folder}/upper,workdir={folder}/work",
                           folder / "copy"], capture_output=True, text=True)
    if done.returncode:
        missing(f"overlayfs: {done.stderr.strip()}")
    try:
        yield folder / "copy"
    finally:
        subprocess.run(["umount", "-l", folder / "copy"], check=True)


def test_an_image_runs_its_own(folder, cache):
    root = image("ostree")
    with contextlib.ExitStack() as stack:
        tmpfs = folder / "tmpfs" # overlayfs wants an upper layer that takes xattrs
        tmpfs.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", tmpfs], check=True)
        stack.callback(subprocess.run, ["umount", "-l", tmpfs], check=True)
        copy = stack.enter_context(changed_copy(root, tmpfs))
        python = next(path for path in (copy / "usr/lib").glob("python3.*"))
        first = verify("/usr/lib/" + python.name + "/json", "--root", copy, "--cache", cache)
        assert first["proved"] == first["pycs"] == first["recorded"] > 10
        assert {row["root"] for row in first["interpreters"]} == {str(copy)}
        source = python / "json/__init__.py"
        text = source.read_text()
        times = source.stat()
        source.write_text(text.replace("skipkeys=False", "skipkeys=None ", 1))
        os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
        second = verify("/usr/lib/" + python.name + "/json", "--root", copy, "--cache", cache,
                        status=2)
        edited = {"/usr" + str(path).rpartition("/usr")[2]
                  for path in source.parent.glob("__pycache__/__init__.*.pyc")}
        assert len(edited) == 3 and {file["path"] for file in second["files"]} == edited
        assert {file["result"] for file in second["files"]} == {"disproved"}
        assert second["recorded"] == second["disproved"]


def test_an_image_for_who_may_not_chroot(folder):
    """The machine's own interpreters prove, and disprove nothing."""
    root = folder / "root"
    body = bodies(SYSTEM, ["x = 1\n"])[0]
    put(SYSTEM, root / "usr/lib/m.py", "x = 1\n", body)
    put(SYSTEM, root / "usr/lib/n.py", "x = 2\n", body)
    folder.chmod(0o755)
    found = outcomes("/usr/lib", "--root", root, "--no-record", status=1)
    assert found == {pathlib.Path("/usr/lib") / pyc_of(SYSTEM, "m.py"): ("proved", "same"),
                     pathlib.Path("/usr/lib") / pyc_of(SYSTEM, "n.py"): ("unknown", "other-compiler")}


# ---- the command ----

@pytest.mark.parametrize("words", [[], ["--jobs", "0", "/"], ["--list", "everything", "/"],
                                   ["--timeout", "x", "/"], ["--frobnicate", "/"]])
def test_wrong_usage(words):
    done = verify(*words, status=64, json_too=False)
    assert "canonfs verify --help" in done.stderr


@pytest.mark.parametrize("words", [["/nowhere"], ["/nowhere/m.pyc"], ["m" * 5000 + ".pyc"],
                                   ["--root", "/nowhere", "/"],
                                   ["--cache", "/nowhere/x", "/"], ["--python", "nowhere", "/etc"]])
def test_cannot_look(words, cache):
    if "--cache" not in words:
        words = ["--cache", cache, *words]
    done = verify(*words, status=66, json_too=False)
    assert done.stdout == "" and done.stderr.count("\n") == 1


def test_a_file_alone(folder):
    body = bodies(SYSTEM, ["x = 1\n"])[0]
    pyc = put(SYSTEM, folder / "tree/m.py", "x = 1\n", body)
    put(SYSTEM, folder / "tree/n.py", "x = 1\n", body)
    for path in (pyc, os.path.relpath(pyc)):
        assert outcomes(path, "--no-record") == {pyc: ("proved", "same")}
    for path, place in ((pyc.name, pyc.parent), ("__pycache__/" + pyc.name, folder / "tree")):
        listed = run(CANONFS, "verify", path, "--no-record", "--list", "proved", cwd=place)
        assert listed.stdout.count("\n") == 1 and str(pyc) in listed.stdout
    for root, path in ((folder, f"/tree/__pycache__/{pyc.name}"), (folder / "tree", f"__pycache__/{pyc.name}")):
        assert verify(path, "--root", root, "--no-record")["proved"] == 1


def test_files_are_in_the_order_of_their_names(folder):
    """Whatever the order of the directory; those of a directory before those below it."""
    body = bodies(SYSTEM, ["x = 1\n"])[0]
    pycs = [put(SYSTEM, folder / "tree" / name, "x = 1\n", body)
            for name in ("m.py", "b/n.py", "a/z.py", "a/m.py", "a/b/c.py")]
    report = verify(folder / "tree", "--no-record", "--list", "proved")
    listed = [os.path.relpath(file["path"], folder / "tree") for file in report["files"]]
    name = pycs[0].name[1:]
    assert listed == [path + name for path in (
        "__pycache__/m", "a/__pycache__/m", "a/__pycache__/z", "a/b/__pycache__/c", "b/__pycache__/n")]


def test_text(folder):
    """For people: a table, the disproved by name; --list alone."""
    own = own_python(SYSTEM, folder / "own")
    expected = put_edits(SYSTEM, folder / "own/site")
    done = verify(folder / "own/site", "--no-record", "--python", own.program, status=2,
                  json_too=False)
    assert re.search(rf"\(3\.\d+\.\d+\) +{len(EDITS)} +{len(EDITS)} +0\n", done.stdout)
    assert f"and {len(EDITS) - 20} more: --list disproved" in done.stdout
    assert "\x1b" not in done.stdout and done.stderr == ""
    listed = verify(folder / "own/site", "--no-record", "--python", own.program, "--list",
                    "disproved", status=2, json_too=False).stdout.splitlines()
    assert sorted(line.split("'")[1] for line in listed) == sorted(
        str(path) for path, edited in expected.items() if edited)
    assert any("(constants)" in line for line in listed)


def in_a_terminal(*words, **environment):
    """What a command shows there, and its exit status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(CANONFS, [str(word) for word in (CANONFS, *words)],
                  {**os.environ, "TERM": "xterm", **environment})
    shown = b""
    with contextlib.suppress(OSError):
        while block := os.read(terminal, 65536):
            shown += block
    os.close(terminal)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_terminal(folder):
    put_slow(folder)
    shown, status = in_a_terminal("verify", folder / "tree", "--no-record", "--timeout", "2")
    assert status == 1
    assert "verifying" in shown and "files" in shown
    # Each column has its colour, but not for a 0.
    assert re.search(r"\x1b\[32m +20\x1b\[0m +0 +\x1b\[33m +1\x1b\[0m", shown.rpartition("INTERPRETER")[2])
    shown, status = in_a_terminal("verify", folder / "tree", "--no-record", "--timeout", "2",
                                  "--quiet", NO_COLOR="1")
    assert status == 1 and "verifying" not in shown and "\x1b[" not in shown


def test_odd_names(folder):
    name = os.fsdecode(b"\xff\n'\\.py")
    pyc = put(SYSTEM, folder / "tree" / name, "x = 1\n", bodies(SYSTEM, ["x = 1\n"])[0])
    assert outcomes(folder / "tree", "--no-record") == {pyc: ("proved", "same")}
    done = verify(folder / "tree", "--no-record", "--list", "proved", json_too=False)
    assert done.stdout.count("\n") == 1 and r"\xff\x0a\'\\" in done.stdout


def test_names_that_look_like_others(folder):
    """Marks of direction and of zero width are shown as what they are."""
    name = "a\u202eb\u200bc.py"
    put(SYSTEM, folder / "tree" / name, "x = 1\n", bodies(SYSTEM, ["x = 2\n"])[0])
    listed = verify(folder / "tree", "--no-record", *EVERY, status=None, json_too=False).stdout
    assert r"a\xe2\x80\xaeb\xe2\x80\x8bc" in listed
    assert not re.search("[\u200b-\u200f\u202a-\u202e]", listed)


def test_nothing_is_written(folder):
    """Also where the tree could be: sources and bytecode are what they were."""
    tree = folder / "tree"
    put_edits(SYSTEM, tree)

    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino,
                       path.read_bytes() if path.is_file() else sorted(os.listdir(path)))
                for path in tree.rglob("*")}
    before = state()
    verify(tree, "--no-record", status=2)
    assert state() == before
