# SPDX-License-Identifier: GPL-2.0-or-later
"""canonfs explain says what interpreters do, and what the mount does.

The matrix: bytecode in every combination that matters of flags, times, sizes, hashes, magic
numbers, bodies, places, sources and levels of optimisation. Each interpreter imports all of
its cases from the bare tree, where the source says one thing and the bytecode another; what
it got must be what explain said of it, and what explain --ask found out.
"""
import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import pty
import re
import shlex
import subprocess
import termios
import time

import fastjsonschema
import jsonschema
import pytest

import corpus
from conftest import CANONFS, TOP, image, mounted, run
from control import status_of
from pythons import WORKSHOPS, compiled, header, machine_pythons, workshop, write

SECOND = 10**9
REAL = 1_600_000_000
EXTRA = 777_600_000

SOURCE = 'value = "SRC"\n'
OTHER = 'value = "PYC"\n'
assert len(SOURCE) == len(OTHER)

SCHEMA = json.loads(TOP.joinpath("cli/schema/explain.json").read_text(encoding="utf-8"))

# Prints what the value of each module is, a name below the folder, or what went wrong.
IMPORT = r'''
import json, sys
folder = sys.argv[1]
sys.path.insert(0, folder)
found = {}
for name in json.loads(sys.stdin.read()):
    place, _, module = name.rpartition("/")
    sys.path[0] = folder + "/" + place
    try:
        found[name] = str(__import__(module).value)
    except Exception:
        error = sys.exc_info()[1]
        missing = type(error).__name__ in ("ImportError", "ModuleNotFoundError") \
            and str(error).startswith("No module named")
        found[name] = "missing" if missing else "error"
print(json.dumps(found))
'''

SOURCE_HASH = r'''
import importlib.util, json, sys
print(json.dumps(list(importlib.util.source_hash(sys.argv[1].encode()))))
'''


def explain(*arguments, check=True):
    return run(CANONFS, "explain", *arguments, check=check)


@functools.lru_cache(None)
def validator():
    """A function that takes a tenth of the time that jsonschema takes."""
    return fastjsonschema.compile(SCHEMA)


def explained(*arguments):
    """The JSON, valid by its schema, and its bytecode files by their paths."""
    report = json.loads(explain("--json", *arguments).stdout)
    validator()(report)
    return {pyc["path"]: pyc for source in report["sources"] for pyc in source["bytecode"]}


# ---- the matrix ----

# What a source's st_mtime is, in nanoseconds, and what its bytecode embeds.
TIMES = {
    "equal": (REAL * SECOND, REAL),
    "older": ((REAL - 7) * SECOND, REAL),
    "newer": ((REAL + 7) * SECOND, REAL),
    "zero": (0, REAL),
    "both-zero": (0, 0),
    "set-forward": (315532800 * SECOND, 5),
    "negative": (-5 * SECOND, -5),
    "2^31": (2**31 * SECOND, 2**31),
    "2^32": ((2**32 + 5) * SECOND, 5),
    "rounds-up": (REAL * SECOND + 999_999_999, REAL + 1),
    "rounds-not": (REAL * SECOND + 999_999_999, REAL),
    "part": (REAL * SECOND + 500_000_000, REAL),
}

BODIES = {
    "good": lambda body: body,
    "cut": lambda body: body[:len(body) // 2],
    "garbage": lambda body: b"Z" * len(body),
    "trailing": lambda body: body + b"more",
    "empty": lambda body: b"",
    "no-code": lambda body: b"N",
}

SIZES = {"equal": len(SOURCE), "other": len(SOURCE) + 1, "none": 0}

# own, another version's, one that nobody has, no magic at all
MAGICS = ("own", "other", "unknown", "garbage", "no-crlf", "short")

PLACES = ("cache", "cache-pyo", "legacy", "pytest", "odd", "foreign-tag")

SOURCES = ("regular", "missing", "link-in", "link-out", "dangling", "directory", "empty")


@dataclasses.dataclass(frozen=True)
class Case:
    flags: int = 0
    hash: str = "right"
    time: str = "equal"
    size: str = "equal"
    body: str = "good"
    magic: str = "own"
    place: str = "cache"
    source: str = "regular"
    level: int = 0


def cases_for(python):
    """Each once, in a fixed order."""
    flags = (0, 1, 2, 3, 4, 7, 0x80000000) if python.header_size == 16 else (0,)
    hashed = [one for one in flags if one & 1]
    timed = [one for one in flags if one in (0, 2)]
    cases = [Case(flags=one, body=body) for one, body in itertools.product(flags, BODIES)]
    cases += [Case(flags=one, time=time, size=size, body=body)
              for one, time, size, body in itertools.product(timed, TIMES, SIZES, BODIES)]
    cases += [Case(flags=one, hash=right, body=body)
              for one, right, body in itertools.product(hashed, ("right", "wrong"), BODIES)]
    cases += [Case(flags=one, magic=magic, body=body)
              for one, magic, body in itertools.product(flags[:4], MAGICS, BODIES)]
    cases += [Case(flags=one, place=place, source=source, body=body, magic=magic)
              for one, place, source, (body, magic) in itertools.product(
                  (0, 3, 4)[:len(flags)], PLACES, SOURCES,
                  (("good", "own"), ("cut", "own"), ("good", "other"), ("good", "garbage")))]
    cases += [Case(level=level, time=time, size=size, body=body)
              for level, time, size, body in itertools.product((1, 2), TIMES, SIZES, ("good", "cut"))]
    cases += [Case(level=level, flags=one, hash=right, place=place, source=source)
              for level, one, right, place, source in itertools.product(
                  (1, 2), flags, ("right", "wrong"), ("cache", "legacy"), ("regular", "missing"))]
    return list(dict.fromkeys(cases))


class Bench:
    """Makes an interpreter's cases in a folder of the workshop's tree. A name is that of a module
    with its folder, of which there are several: explain reads the whole folder of each file."""

    def __init__(self, shop, python):
        self.shop, self.python = shop, python
        self.folder = shop.tree / python.name
        self.body = compiled(python, [OTHER])[0]
        self.hash = self.hash_of(SOURCE)
        self.paths = {}

    def hash_of(self, text):
        if self.python.header_size < 16:
            return None
        return bytes(self.python.json(SOURCE_HASH, text))

    def magic(self, case):
        other = b"\xee\x0c\r\n" if self.python.magic != b"\xee\x0c\r\n" else b"\x42\x0d\r\n"
        return {"own": self.python.magic, "other": other, "unknown": b"\x0f\x27\r\n",
                "garbage": b"\xff\xff\xff\xff", "no-crlf": self.python.magic[:2] + b"\n\n",
                "short": self.python.magic}[case.magic]

    def bytecode(self, case):
        if case.magic == "short":
            return self.python.magic + b"\0\0"
        size = 0 if case.source == "empty" else SIZES[case.size]
        head = header(self.python, TIMES[case.time][1], size, case.flags, self.magic(case))
        if case.flags & 1:
            right = self.hash if case.source != "empty" else self.hash_of("")
            head = head[:8] + (right if case.hash == "right" else bytes(8))
        return head + BODIES[case.body](self.body)

    def bytecode_path(self, case, name):
        cached = self.python.cached(str(self.folder / f"{name}.py"), case.level)
        in_cache = str((self.folder / name).parent / "__pycache__" / (self.folder / name).name)
        if case.place == "legacy":
            return str(self.folder / name) + (".pyo" if case.level and not is_tagged(self.python) else ".pyc")
        if case.place == "cache":
            return cached
        tag = self.python.about["tag"] or "cpython-27"
        return in_cache + {"cache-pyo": f".{tag}.pyo", "pytest": ".cpython-311-pytest-7.2.1.pyc", "odd": ".pyc",
                           "foreign-tag": ".cpython-34.pyc"}[case.place]

    def make_source(self, case, name):
        path, mtime = self.folder / f"{name}.py", TIMES[case.time][0]
        inside, outside = path.parent / "real" / f"{path.stem}.txt", self.shop.outside / self.python.name / name
        if case.source in ("regular", "empty"):
            write(path, SOURCE if case.source == "regular" else "", mtime)
        elif case.source == "link-in":
            write(inside, SOURCE, mtime)
            path.symlink_to(f"real/{inside.name}")
        elif case.source == "link-out":
            write(outside, SOURCE, mtime)
            path.symlink_to(self.python.seen(outside))
        elif case.source == "dangling":
            path.symlink_to("nowhere")
        elif case.source == "directory":
            path.mkdir()

    def make(self, cases):
        self.folder.mkdir()
        for number, case in enumerate(cases):
            name = f"{number // 100}/m{number}"
            path = self.bytecode_path(case, name)
            write(path, self.bytecode(case))
            self.make_source(case, name)
            self.paths[case] = name, path

    def imports(self, cases):
        """What importing gives, by case: SRC, PYC, error, missing."""
        found = {}
        for level in (0, 1, 2):
            names = {self.paths[case][0]: case for case in cases if case.level == level}
            done = self.python.run(IMPORT, self.python.seen(self.folder), level=level,
                                   stdin=json.dumps(list(names)))
            assert done.returncode == 0, done.stderr[-2000:]
            found.update((names[name], value) for name, value in json.loads(done.stdout).items())
        return found


def is_tagged(python):
    return python.version >= (3, 2)


def expected_import(python, case, outcome):
    """What an import gives if explain is right."""
    if outcome in ("loads", "loads-checked"):
        return ("PYC",)
    if outcome == "fails":
        return ("error",)
    if case.source == "directory" and not is_tagged(python):
        return ("error",) if outcome == "ignores" else ()  # it compiles the directory
    if case.source in ("missing", "dangling", "directory"):
        return ("missing",) if outcome == "ignores" else ()
    # An empty source has no value.
    return ("error",) if case.source == "empty" else ("SRC",)


def explain_cases(shop, python, bench):
    arguments = ["--tree", python.seen(shop.tree), "--ask", python.program]
    if shop.root:
        arguments += ["--root", shop.root]
    return explained(*arguments, *(python.seen(path) for _, path in bench.paths.values()))


def is_own(case):
    """Does the file say itself whose it is?"""
    return case.magic == "own" and case.place in ("cache", "legacy")


def compare(shop, python):
    """Makes an interpreter's cases; what explain got wrong, and how often it said what."""
    cases = cases_for(python)
    bench = Bench(shop, python)
    bench.make(cases)
    said = explain_cases(shop, python, bench)
    got = bench.imports(cases)
    wrong, outcomes = [], collections.Counter()
    for case in cases:
        pyc = said[python.seen(bench.paths[case][1])]
        asked = pyc["asked"][0] if pyc["asked"] else None
        outcome = asked["expected"] if asked else pyc["bare"]["outcome"]
        outcomes[outcome] += 1
        if got[case] not in expected_import(python, case, outcome):
            wrong.append(f"{case}: said {outcome}, imported {got[case]}")
        if asked and not asked["agrees"]:
            wrong.append(f"{case}: said {outcome}, asked {asked['observed']} {asked['error']}")
        if asked and is_own(case) and pyc["bare"]["outcome"] != outcome:
            wrong.append(f"{case}: bare {pyc['bare']['outcome']}, expected {outcome}")
    return wrong, outcomes


@pytest.mark.parametrize("name", WORKSHOPS)
def test_matrix(name, folder):
    newer = image("newer") if name == "newer" else None
    with workshop(name, folder, newer) as shop:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            results = dict(zip(shop.pythons, pool.map(functools.partial(compare, shop), shop.pythons)))
    for python, (wrong, outcomes) in results.items():
        print(f"{python}: {sum(outcomes.values())} cases, {dict(outcomes)}, {len(wrong)} wrong")
        # Each of what can be, and nothing that nobody knows.
        assert set(outcomes) == {"loads", "compiles", "fails", "ignores"} | (
            {"loads-checked"} if python.header_size == 16 else set())
    assert not {python.name: wrong[:20] for python, (wrong, _) in results.items() if wrong}


# ---- what a mount does ----

@pytest.fixture
def shop(folder):
    """The cases of one interpreter of each layout."""
    with workshop("machine", folder, None) as made:
        made.pythons = [python for python in made.pythons
                        if python.name == "python3" or python.name.startswith(("2.7", "3.6"))]
        yield made


def in_mount(shop, path):
    return str(shop.point / pathlib.Path(path).relative_to(shop.tree))


def xattr(path, name):
    return os.getxattr(path, f"user.canonfs.{name}").decode()


OPTIONS = ("", "trust=size", "hash=unchecked", f"trust=size,hash=unchecked,canonical={REAL + 7}",
           "mtime=5", "mtime=embedded", "trust=verified")


def test_verdicts_are_the_mounts(shop):
    """Of all cases, under many options; and what is said of a file in the mount is said of the
    one on disk."""
    paths = []
    for python in shop.pythons:
        bench = Bench(shop, python)
        bench.make(cases_for(python))
        paths += [path for _, path in bench.paths.values()]
    trusts = {path: pyc["trust"] for path, pyc in explained("--tree", shop.tree, *paths).items()}
    assert len({json.dumps(trust) for trust in trusts.values()}) > 15
    for options in OPTIONS:
        verdicts = compare_with_mount(shop, options, paths, trusts)
        print(options, dict(verdicts))
        assert len(verdicts) >= 8


def compare_with_mount(shop, options, paths, trusts):
    given = ["-o", options] if options else []
    bare = explained(*given, "--tree", shop.tree, *paths)
    verdicts = collections.Counter()
    with mounted(shop.tree, shop.point, options):
        inside = explained(*given, *(in_mount(shop, path) for path in paths))
        for path in paths:
            there, here = in_mount(shop, path), bare[path]["canonfs"]
            assert (here["verdict"], here["reason"]) == (xattr(there, "verdict"), xattr(there, "reason")), path
            assert inside[there]["mount"] == {"verdict": here["verdict"], "reason": here["reason"]}, path
            assert inside[there]["header"] == bare[path]["header"], path
            assert inside[there]["head"] == pathlib.Path(there).read_bytes()[:16].hex()
            assert not (inside[there]["served"]["outcome"] == "loads" and inside[there]["changes"]), path
            verdicts[here["verdict"]] += 1
            if options.startswith("trust=") and "," not in options:
                assert trusts[path][options[len("trust="):]] == here, path
            if "mtime=" not in options:
                assert inside[there]["canonfs"] == here, path
                assert inside[there]["bare"] == bare[path]["bare"], path
                assert inside[there]["served"] == bare[path]["served"], path
    return verdicts


def test_corpus(folder):
    """Bytecode of every verdict, by construction."""
    made = corpus.make(folder / "tree")
    arguments = "--tree", folder / "tree", *(folder / "tree" / path for path in made)
    said = explained(*arguments)
    jsonschema.validate(json.loads(explain("--json", *arguments).stdout), SCHEMA)
    assert {os.path.relpath(path, folder / "tree"): (pyc["canonfs"]["verdict"], pyc["canonfs"]["reason"])
            for path, pyc in said.items()} == made


def test_changes_help(shop):
    """Whoever does what explain advises gets his bytecode used."""
    python = next(python for python in shop.pythons if python.name == "python3")
    bench = Bench(shop, python)
    bench.make(cases_for(python))
    said = explained("--tree", shop.tree, *(path for _, path in bench.paths.values()))
    advised = collections.defaultdict(list)
    for case, (name, path) in bench.paths.items():
        for change in said[path]["changes"] if case.level == 0 and case.source != "empty" else ():
            advised[change.split()[0] if change.startswith("python") else change].append((name, path, change))
    mount = f"canonfs {shop.tree} {shop.tree}"
    options = {change.removeprefix(f"{mount} -o "): change for change in advised
               if change.startswith(f"{mount} -o ")}
    assert {"trust=size", "hash=unchecked"} <= set(options)
    assert any(option.startswith("canonical=") for option in options)
    for option, change in options.items():
        with mounted(shop.tree, shop.point, option):
            check_imports(python, in_mount(shop, bench.folder), advised[change], "PYC")
    with mounted(shop.tree, shop.tree):
        check_imports(python, bench.folder, advised[mount], "PYC")
    compiled_again = advised["python3.11"]
    assert len(compiled_again) > 100
    run(python.program, "-m", "compileall", "-qf", *(shlex.split(change)[-1] for _, _, change in compiled_again))
    check_imports(python, bench.folder, compiled_again, "SRC")
    again = explained("--tree", shop.tree, *(path for _, path, _ in compiled_again))
    assert {again[path]["bare"]["outcome"] for _, path, _ in compiled_again} == {"loads"}


@pytest.mark.parametrize("point", ["point", "a tree", "x && y"], ids=["beside", "over", "odd"])
@pytest.mark.parametrize("mtime, size, expected", [
    (REAL + 9, len(SOURCE), ["verify", "trust=size,canonical="]),
    (0, 3, ["compileall"]),
], ids=["newer", "size"])
def test_changes_in_a_mount_help(folder, monkeypatch, point, mtime, size, expected):
    """Each is a command that a shell takes as it is, and afterwards the file is used."""
    python = machine_pythons()[0]
    tree, point = folder / "a tree", folder / point
    point.mkdir(exist_ok=True)
    tree.mkdir(exist_ok=True)
    env = {**os.environ, "PATH": f"{CANONFS.parent}:{os.environ['PATH']}"}
    for i, word in enumerate(expected):
        state = folder / f"state{i}"
        state.mkdir(0o700)
        monkeypatch.setenv("STATE_DIRECTORY", str(state))
        env["STATE_DIRECTORY"] = str(state)
        write(tree / "m.py", SOURCE, mtime * 10**9)
        write(python.cached(str(tree / "m.py")), header(python, REAL, size) + compiled(python, [SOURCE])[0])
        with mounted(tree, point):
            pyc, = explained(point / "m.py").values()
            assert pyc["served"]["outcome"] == "compiles"
            assert len(pyc["changes"]) == len(expected)
            assert word in pyc["changes"][i]
            run("sh", "-ec", pyc["changes"][i].replace("python3.11 ", f"{python.program} "), env=env)
            time.sleep(1.1)  # the mount's cache of attributes
            used, = explained(point / "m.py").values()
            if not os.path.ismount(point):
                run(CANONFS, tree, point)
            assert used["served"]["outcome"] == "loads", pyc["changes"][i]


def check_imports(python, folder, advised, value):
    done = python.run(IMPORT, folder, stdin=json.dumps([name for name, _, _ in advised]))
    assert json.loads(done.stdout) == {name: value for name, _, _ in advised}


# ---- one file ----

@pytest.fixture
def stale(folder):
    """A source of an image with canonical times, and its bytecode."""
    source = folder / "tree" / "it's odd.py"
    write(source, SOURCE, 0)
    python = machine_pythons()[0]
    write(python.cached(str(source)), header(python, REAL, len(SOURCE)) + compiled(python, [SOURCE])[0])
    return source


def test_a_source_or_its_bytecode(stale):
    cached = machine_pythons()[0].cached(str(stale))
    by_source, by_bytecode = explained(stale), explained(cached)
    assert by_source == by_bytecode == explained(stale, cached, stale)
    assert list(by_source) == [cached]
    inside = run(CANONFS, "explain", "--json", os.path.basename(cached), cwd=os.path.dirname(cached))
    assert json.loads(inside.stdout)["sources"][0]["bytecode"][0]["path"] == cached


def test_text(stale):
    """In a pipe: within 80 columns but for commands and paths, no escapes."""
    text = explain("--tree", stale.parent, "-o", f"canonical={EXTRA}", stale).stdout
    assert text.startswith(f"{stale}\n") or "\\'" in text.splitlines()[0]
    assert "\33" not in text
    assert "0 (1970-01-01 00:00:00 UTC), a canonical time" in text
    assert re.search(rf"embedded time +{REAL} differs", text) and "2020-09-13 12:26:40" in text
    assert "Python alone compiles the source again. With canonfs it runs the bytecode" in " ".join(text.split())
    assert all(len(line) <= 80 or str(stale.parent) in line for line in text.splitlines())
    assert text.splitlines()[-1].strip() == \
        f"canonfs {stale.parent} {stale.parent} -o canonical={EXTRA}"


def on_terminal(*command, columns, **environment):
    """What a command prints on a terminal."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, columns))
    with subprocess.Popen([str(word) for word in command], stdin=follower, stdout=follower,
                          stderr=follower, env=dict(os.environ, TERM="xterm", **environment)) as process:
        os.close(follower)
        output = b""
        with contextlib.suppress(OSError):
            while part := os.read(leader, 65536):
                output += part
        os.close(leader)
    assert process.returncode == 0, output
    return output.decode()


def test_terminal(folder):
    """Colours, and as many columns as fit."""
    source = folder / "m.py"
    write(source, SOURCE, 0)
    python = machine_pythons()[0]
    for level in (0, 1, 2):
        write(python.cached(str(source), level), header(python, REAL, len(SOURCE)) + b"x")
    plain = re.compile("\33\\[[0-9;]*m")
    tables = {}
    for columns in (60, 200):
        text = on_terminal(CANONFS, "explain", source, columns=columns)
        assert "\33[" in text
        tables[columns] = plain.sub("", text).count("written by")
        assert "\33" not in on_terminal(CANONFS, "explain", source, columns=columns, NO_COLOR="1")
    assert tables == {60: 2, 200: 1}


def test_asking_runs_no_code(folder):
    """Neither the source's nor the bytecode's."""
    source = folder / "m.py"
    write(source, f"open({str(folder / 'ran')!r}, 'w').close()\n", REAL * SECOND)
    for python in machine_pythons():
        cached = pathlib.Path(python.cached(str(source)))
        body = compiled(python, [source.read_text()])[0]
        for mtime, expected in ((REAL, "loads"), (REAL + 1, "compiles")):
            write(cached, header(python, mtime, source.stat().st_size) + body)
            asked = explained("--ask", python.program, source)[str(cached)]["asked"][0]
            assert asked["observed"] == asked["expected"] == expected, python
            assert "m.py" in asked["lines"]
        assert python.json(IMPORT, folder, stdin='["m"]') == {"m": "error"}  # no value
        assert (folder / "ran").exists(), python
        (folder / "ran").unlink()
        cached.unlink()


def test_nobodys_bytecode_is_asked_about(folder):
    """Its magic says nothing: installed interpreters tell, all of which fail."""
    write(folder / "m.pyc", b"\xff\xff\xff\xff" * 10)
    pyc = explained(folder / "m.pyc")[str(folder / "m.pyc")]
    assert pyc["bare"]["outcome"] == "fails" and pyc["reader"]
    # With a source, 2.7 compiles it, and 3.x never looks.
    write(folder / "m.py", SOURCE)
    assert explained(folder / "m.py")[str(folder / "m.pyc")]["bare"]["outcome"] in ("compiles", "unknown")


def test_links(folder):
    """A __pycache__ that is a link: who comes through it has another source."""
    python = machine_pythons()[0]
    for name, mtime in (("a", REAL), ("b", REAL + 9)):
        write(folder / "tree" / name / "m.py", SOURCE, mtime * SECOND)
    real = pathlib.Path(python.cached(str(folder / "tree/a/m.py")))
    write(real, header(python, REAL, len(SOURCE)) + compiled(python, [SOURCE])[0])
    (folder / "tree/b/__pycache__").symlink_to("../a/__pycache__")
    link = python.cached(str(folder / "tree/b/m.py"))
    said = explained("--tree", folder / "tree", "--ask", python.program, link, folder / "tree/a/m.py")
    assert said[str(real)]["bare"]["outcome"] == "loads" and said[str(real)]["leads_to"] is None
    assert said[link]["bare"]["outcome"] == "compiles" and said[link]["leads_to"] == str(real)
    assert said[link]["canonfs"]["reason"] == "aliased"
    assert all(pyc["asked"][0]["agrees"] for pyc in said.values())


def test_names_of_any_bytes(folder):
    python = machine_pythons()[0]
    for name in (b"a\nb.py", b"\xff\xfe.py", b"a'b\x1b[31m.py", b"-x.py", b"a.b.py"):
        source = os.path.join(os.fsencode(folder), name)
        write(os.fsdecode(source), SOURCE, REAL * SECOND)
        cached = python.cached(os.fsdecode(source))
        write(cached, header(python, REAL, len(SOURCE)) + compiled(python, [SOURCE])[0])
        found = subprocess.run([CANONFS, "explain", "--json", "--ask", python.program, source],
                               stdout=subprocess.PIPE, check=True).stdout
        pyc = json.loads(found)["sources"][0]["bytecode"][0]
        assert os.fsencode(pyc["path"]) == os.fsencode(cached)
        assert pyc["asked"][0]["observed"] == "loads" and pyc["asked"][0]["agrees"]
        text = subprocess.run([CANONFS, "explain", source], stdout=subprocess.PIPE, check=True).stdout
        assert b"\x1b" not in text


# ---- named like bytecode ----

# tests/unit/test_names.c has the same table.
BYTECODE_NAMES = ("m.pyc", "m.pyo", ".pyc", ".pyo", "a.b.pyc", "m.cpython-311.pyc", "__pycache__.pyc", "\udcff\n.pyc",
                  "m..pyc", "m.cpython-311.pyc.pyc", "m.py.pyc")
OTHER_NAMES = ("pyc", "m.pyc~", "m.PYC", "m.pyC", "m.pyc.1", "m.pyc.0", "m.pyd", "m.pycc", "m.pyc ", "m",
               "m.cpython-311", "yc")

# Which of the files packageN/NAME some module name makes the interpreter run.
LOAD = r'''
import json, sys
sys.path.insert(0, sys.argv[1])
loaded = []
for number, name in enumerate(json.loads(sys.stdin.read())):
    for end in range(len(name)):
        module = "package%d.%s" % (number, name[:end])
        try:
            __import__(module)
            if sys.modules[module].value == "PYC":
                loaded.append(number)
        except Exception:
            pass
print(json.dumps(loaded))
'''


def loaded_names(python, folder, names):
    """Those that an interpreter of some level of optimisation takes for bytecode."""
    body = compiled(python, [OTHER])[0]
    for number, name in enumerate(names):
        write(folder / f"package{number}/__init__.py", "")
        write(folder / f"package{number}/{name}", header(python, REAL, len(OTHER)) + body)
    return {names[number] for level in (0, 1)
            for number in json.loads(python.run(LOAD, folder, level=level, stdin=json.dumps(names)).stdout)}


def test_names_of_bytecode(folder):
    """What interpreters load is named like bytecode; what is not, none of them loads."""
    names = BYTECODE_NAMES + OTHER_NAMES
    loaded = {python.name: loaded_names(python, folder / python.name, names) for python in machine_pythons()}
    assert all("m.pyc" in names for names in loaded.values())
    for name, found in loaded.items():
        assert found <= set(BYTECODE_NAMES), name
        assert (".pyc" in found) == (not name.startswith("2.7")), name
        assert ("m.pyo" in found) == name.startswith("2.7"), name
    for name in names:
        write(folder / "one" / name, b"")
        done = explain(folder / "one" / name, check=False)
        assert (done.returncode, "neither a .py nor a .pyc" in done.stderr) == (
            (0, False) if name in BYTECODE_NAMES else (66, True)), name


def test_nothing_but_a_suffix(folder):
    """Python 3 imports package/.pyc as "package."; what is in a __pycache__, nobody does."""
    python = machine_pythons()[0]
    body = header(python, REAL, len(OTHER)) + compiled(python, [OTHER])[0]
    package, point = folder / "tree/package", folder / "point"
    odd = package / "__pycache__/.pyc"
    write(package / "__init__.py", "")
    write(package / ".pyc", body)
    write(odd, body)
    expected = {str(package / ".pyc"): ("sourceless", "loads"), str(odd): ("foreign", "ignores")}
    said = explained("--tree", folder / "tree", *expected)
    assert {path: (pyc["canonfs"]["verdict"], pyc["bare"]["outcome"]) for path, pyc in said.items()} == expected
    report = json.loads(run(CANONFS, "check", "--json", folder / "tree", check=False).stdout)
    assert {verdict: count for verdict, count in report["verdicts"].items() if count} == {
        "sourceless": 1, "foreign": 1}
    traced = folder / "trace.json"
    run(CANONFS, "trace", "--json", "-o", traced, "--", *python.command(
        "-c", f"import sys; sys.path.insert(0, {str(folder / 'tree')!r}); __import__('package.')"))
    assert {module["bytecode"]: module["how"] for module in json.loads(traced.read_text())["modules"]}[
        str(package / ".pyc")] == "sourceless"
    for path in expected:
        verified = json.loads(run(CANONFS, "verify", "--list", "not-tried", "--json", "--cache", folder / "cache",
                                  path).stdout)
        assert [file["path"] for file in verified["files"]] == [path]
    point.mkdir()
    for options in ("stack=off", "stack=off,immutable"):
        with mounted(folder / "tree", point, options):
            for path, (verdict, _) in expected.items():
                shown = point / os.path.relpath(path, folder / "tree")
                assert os.getxattr(shown, "user.canonfs.verdict").decode() == verdict
                assert shown.read_bytes() == body
            assert status_of(point)["bytecode"]["undecided"] == 0


@pytest.mark.parametrize("arguments, status, line", [
    ([], 64, "a FILE is needed"),
    (["--nonsense"], 64, "unrecognized option"),
    (["-o", "trust=nobody", "{folder}/m.py"], 64, "trust"),
    (["{folder}"], 64, "use canonfs check"),
    (["{folder}/"], 64, "use canonfs check"),
    (["{folder}/none.py"], 66, "No such file"),
    (["{folder}/none.pyc"], 66, "No such file"),
    (["{folder}/none/m.py"], 66, "No such file"),
    (["{folder}/notes.txt"], 66, "neither a .py nor a .pyc"),
    (["--tree", "/usr", "{folder}/m.py"], 64, "not in the tree"),
    (["--tree", "/none", "{folder}/m.py"], 66, "No such file"),
    (["--root", "/none", "/m.py"], 66, "No such file"),
    (["--ask", "python9", "{folder}/m.py"], 66, "there is no such program"),
    (["--ask", "{folder}/m.py", "{folder}/m.py"], 66, "not a program"),
    (["--ask", "/bin/true", "{folder}/m.py"], 66, "does not answer"),
])
def test_errors(folder, arguments, status, line):
    write(folder / "m.py", SOURCE)
    write(folder / "notes.txt", "")
    done = explain(*(word.format(folder=folder) for word in arguments), check=False)
    assert done.returncode == status
    assert line in done.stderr and done.stdout == ""
    message, _, usage = done.stderr.partition("usage: ")
    assert len(message.splitlines()) == 1
    assert usage == "" or usage.endswith("; see canonfs explain --help\n")


@pytest.mark.parametrize("root", [False, True])
def test_relative_tree(folder, root):
    """Like a file's, its path starts at the working directory, or at the root of an image."""
    write(folder / "above/tree/m.py", SOURCE)
    arguments = ["--root", folder, "--tree", "above/tree", "above/tree/m.py"] if root else \
        ["--tree", "tree", "tree/m.py"]
    done = run(CANONFS, "explain", "--json", *arguments, cwd="/" if root else folder / "above")
    source, = json.loads(done.stdout)["sources"]
    assert source["tree"]["path"] == str(folder / "above/tree")


def test_one_error_of_several_files(stale):
    done = explain("--json", "/none.py", stale, check=False)
    assert done.returncode == 66
    assert len(json.loads(done.stdout)["sources"]) == 1


def test_full_disk(stale):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([CANONFS, "explain", stale], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 74 and b"standard output" in done.stderr


def test_no_bytecode(folder):
    write(folder / "m.py", SOURCE)
    assert "There is no bytecode" in explain(folder / "m.py").stdout
    assert explained(folder / "m.py") == {}


def test_unreadable(folder):
    """Links to nothing, and what is no file."""
    python = machine_pythons()[0]
    write(folder / "m.py", SOURCE)
    cached = pathlib.Path(python.cached(str(folder / "m.py")))
    cached.mkdir(parents=True)
    cached.with_name("m.cpython-39.pyc").symlink_to("nowhere")
    problems = {path: pyc["problem"] for path, pyc in explained(folder / "m.py").items()}
    assert problems == {str(cached): "it is not a regular file",
                        str(cached.with_name("m.cpython-39.pyc")): "it is a link that leads to nothing"}
    assert "cannot use it" in explain(folder / "m.py").stdout
