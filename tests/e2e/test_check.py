# SPDX-License-Identifier: GPL-2.0-or-later
"""canonfs check: what it counts is what interpreters and mounts do; and what people, scripts
and pipes get to see of it.
"""
import fcntl
import importlib.util
import json
import marshal
import os
import pathlib
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time

import jsonschema
import pytest

from conftest import CANONFS, TOP, image, missing, mounted, run
from pythons import machine_pythons

MAGIC = importlib.util.MAGIC_NUMBER
TAG = sys.implementation.cache_tag
THEN = 1_600_000_000  # when the corpus was compiled
SOURCE = b"value = 1\n"
BODY = marshal.dumps(compile(SOURCE, "m.py", "exec"))
CANONICAL = {0, 1, 315532800, 315532801}


def check(*words, **options):
    return run(CANONFS, "check", *words, check=False, **options)


def schema(name):
    return json.loads((TOP / "cli/schema" / f"{name}.json").read_text())


def report(*words, **options):
    """The exit status, and --json, which must keep to its schema."""
    done = check("--json", *words, **options)
    answer = json.loads(done.stdout)
    jsonschema.validate(answer, schema("check"))
    assert answer["status"] == done.returncode
    return answer


def listed(what, *words, **options):
    """{path: the object} of --list --json."""
    done = check("--list", what, "--json", *words, **options)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line in lines:
        jsonschema.validate(line, schema("check-list"))
    assert len({line["path"] for line in lines}) == len(lines)
    return {line["path"]: line for line in lines}


def nonzero(counts):
    return {name: count for name, count in counts.items() if count}


# ---- a corpus with each verdict ----

def put(path, data, mtime=THEN):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (mtime, mtime))


def header(mtime=THEN, size=len(SOURCE), flags=0, magic=MAGIC):
    return magic + struct.pack("<III", flags, mtime & 0xffffffff, size)


def hashed(flags, source=SOURCE):
    return MAGIC + struct.pack("<I", flags) + importlib.util.source_hash(source)


def pair(folder, name, pyc, mtime=THEN, source=SOURCE, level=""):
    """A source and its pyc."""
    put(folder / f"{name}.py", source, mtime)
    put(folder / "__pycache__" / f"{name}.{TAG}{level}.pyc", pyc)


def corpus(tree):
    """Makes a tree; {path: (verdict, reason, outcome)} of what it holds."""
    expected = {}

    def expect(path, verdict, reason, outcome):
        expected[str(tree / path)] = verdict, reason, outcome

    def cached(name, verdict, reason, outcome, pyc, **rest):
        pair(tree, name, pyc, **rest)
        expect(f"__pycache__/{name}.{TAG}{rest.get('level', '')}.pyc", verdict, reason, outcome)

    cached("fresh", "fresh", "matches", "loads", header() + BODY)
    cached("damaged", "fresh", "matches", "fails", header() + BODY[:-9])
    cached("canonical", "restamped", "canonical", "compiles", header() + BODY, mtime=0)
    cached("o", "restamped", "canonical", "compiles", header() + BODY, mtime=1, level=".opt-2")
    cached("empty", "restamped", "empty", "compiles", header(THEN - 5, 0) + BODY, source=b"")
    cached("broken", "corrupt", "body", "compiles", header() + BODY[:-9], mtime=0)
    cached("short", "corrupt", "short", "compiles", header()[:9])
    cached("size", "stale", "size", "compiles", header(size=3) + BODY, mtime=0)
    cached("newer", "stale", "newer", "compiles", header() + BODY, mtime=THEN + 7)
    cached("older", "stale", "not-canonical", "compiles", header() + BODY, mtime=THEN - 7)
    cached("flags", "stale", "unknown-flags", "compiles", header(flags=4) + BODY)
    cached("kept", "hash-checked", "hash-kept", "loads-checked", hashed(3) + BODY)
    cached("mismatch", "hash-checked", "hash-kept", "compiles", hashed(3, b"else") + BODY)
    cached("unchecked", "hash-unchecked", "unchecked", "loads", hashed(1) + BODY)
    cached("magic", "foreign", "magic", "unknown", header(magic=b"\xff\xff\r\n") + BODY)
    put(tree / f"__pycache__/gone.{TAG}.pyc", header() + BODY)
    expect(f"__pycache__/gone.{TAG}.pyc", "orphan", "no-source", "ignores")
    put(tree / f"__pycache__/bad.{TAG}.pyc", header()[:5])
    expect(f"__pycache__/bad.{TAG}.pyc", "corrupt", "short", "ignores")
    put(tree / "fresh.pyc", header() + BODY)
    expect("fresh.pyc", "orphan", "shadowed", "ignores")
    put(tree / "alone.pyc", header() + BODY)
    expect("alone.pyc", "sourceless", "legacy", "loads")
    put(tree / "__pycache__/fresh.rustpython-03.pyc", header() + BODY)
    expect("__pycache__/fresh.rustpython-03.pyc", "foreign", "tag", "compiles")
    put(tree / f"__pycache__/test_x.{TAG}-pytest-7.2.1.pyc", header() + BODY)
    expect(f"__pycache__/test_x.{TAG}-pytest-7.2.1.pyc", "foreign", "pytest", "ignores")
    put(tree / "__pycache__/odd.pyc", header() + BODY)
    expect("__pycache__/odd.pyc", "foreign", "odd-name", "ignores")
    put(tree / "deep/er/lonely.py", SOURCE)
    os.symlink("loop", tree / "loop")
    os.symlink("..", tree / "deep/up")
    return expected


@pytest.fixture
def tree(folder):
    path = folder / "tree"
    path.mkdir()
    return path


def test_every_verdict(tree):
    expected = corpus(tree)
    found = listed("all", tree)
    assert {path: (line["verdict"], line["reason"], line["outcome"])
            for path, line in found.items()} == expected
    answer = report(tree)
    verdicts, reasons = {}, {}
    for verdict, reason, _ in expected.values():
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        reasons[reason] = reasons.get(reason, 0) + 1
    assert nonzero(answer["verdicts"]) == verdicts
    assert nonzero(answer["reasons"]) == reasons
    names = sorted(pathlib.Path(path).name.split(".")[0] for path, (verdict, _, outcome)
                   in expected.items() if outcome == "compiles" and verdict != "foreign")
    assert names == ["broken", "canonical", "empty", "flags", "mismatch", "newer", "o", "older",
                     "short", "size"]
    counts = answer["bytecode"]
    assert counts["files"] == len(expected)
    assert counts["stale"] == len(names)
    assert counts["helped"] == 3  # canonical, o, empty
    assert counts["damaged"] == 1
    # What canonfs does not help with, and what fails; not what nobody looks at.
    assert counts["hopeless"] == len(names) - 3 + 1
    # Neither the empty source, nor the one that is read with -OO only.
    assert counts["compiled_bytes"] == len(SOURCE) * (len(names) - 2)
    assert answer["sources"]["uncached"] == 1
    assert answer["sources"]["uncached_bytes"] == len(SOURCE)
    assert list(listed("uncached", tree)) == [str(tree / "deep/er/lonely.py")]
    assert answer["status"] == 2


def test_lists(tree):
    expected = corpus(tree)
    for verdict in {verdict for verdict, _, _ in expected.values()}:
        assert listed(verdict, tree).keys() == {path for path, facts in expected.items()
                                                if facts[0] == verdict}
    assert listed("damaged", tree).keys() == {str(tree / f"__pycache__/damaged.{TAG}.pyc")}
    compiled = {path for path, (verdict, _, outcome) in expected.items()
                if outcome == "compiles" and verdict != "foreign"}
    assert listed("compiles", tree).keys() == compiled
    lines = check("--list", "compiles", tree).stdout.splitlines()
    assert {line.split("\t")[0] for line in lines} == compiled
    assert all(len(line.split("\t")[1]) > 10 for line in lines)


def test_policies(tree):
    corpus(tree)
    path = str(tree / f"__pycache__/older.{TAG}.pyc")
    assert listed("all", tree)[path]["reason"] == "not-canonical"
    assert listed("all", "-o", f"canonical={THEN - 7}", tree)[path]["reason"] == "canonical"
    kinds = report("-o", "trust=verified", "-o", "cache=off", tree)["verdicts"]
    assert kinds["restamped"] == 0
    assert report("-o", "hash=unchecked", tree)["reasons"]["promoted"] == 1
    # Fresh on the disk and not stale today, whatever a mount would show.
    assert report("-o", "mtime=5", tree)["bytecode"]["stale"] == report(tree)["bytecode"]["stale"]


@pytest.mark.parametrize("name, status", [
    ("fresh", 0), ("canonical", 1), ("newer", 2), ("broken", 2), ("damaged", 2), ("kept", 0),
    ("mismatch", 2), ("unchecked", 0), ("magic", 0), ("orphan", 0), ("nothing", 0)])
def test_exit_status(tree, name, status):
    pycs = {"fresh": header() + BODY, "canonical": header() + BODY, "newer": header() + BODY,
            "broken": header() + BODY[:-9], "damaged": header() + BODY[:-9],
            "kept": hashed(3) + BODY, "mismatch": hashed(3, b"else") + BODY,
            "unchecked": hashed(1) + BODY, "magic": header(magic=b"\xff\xff\r\n") + BODY}
    mtime = {"canonical": 0, "broken": 0, "newer": THEN + 1}.get(name, THEN)
    if name in pycs:
        pair(tree, "m", pycs[name], mtime)
    elif name == "orphan":
        put(tree / f"__pycache__/m.{TAG}.pyc", header() + BODY)
    quiet = check("--quiet", tree)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (status, "", "")
    assert check(tree).returncode == status
    assert check("--list", "all", tree).returncode == status


@pytest.mark.parametrize("words", [
    [], ["--list", "good", "/"], ["--by", "colour", "/"], ["--jobs", "0", "/"],
    ["--top", "x", "/"], ["-o", "trust=nobody", "/"], ["--nothing"], ["--list"]])
def test_wrong_usage(words):
    done = check(*words)
    assert done.returncode == 64
    assert done.stdout == ""
    assert "see canonfs check --help" in done.stderr


def test_help():
    done = check("--help")
    assert done.returncode == 0
    assert "Example:" in done.stdout
    assert "check" in run(CANONFS, "--help").stdout


def test_path_that_is_not_there(tree):
    """The others are looked at all the same."""
    pair(tree, "m", header() + BODY, mtime=0)
    answer = report(tree / "no", tree)
    assert answer["status"] == 66
    assert answer["bytecode"]["stale"] == 1
    assert "No such file" in check("--json", tree / "no").stderr
    assert check("--quiet", tree / "m.py").returncode == 66


def test_several_paths(tree):
    """Each file counts once, also where one path is in another, or the same."""
    for name in "abc":
        pair(tree / name, "m", header() + BODY, mtime=0)
    assert report(tree / "a", tree / "b")["bytecode"]["stale"] == 2
    assert report(tree / "a", tree, tree / "a", tree / "b/__pycache__")["bytecode"]["stale"] == 3
    assert report(tree / "a", tree / "a")["bytecode"]["stale"] == 1
    os.symlink("a", tree / "link")
    assert report(tree / "a", tree / "link")["bytecode"]["stale"] == 1


def test_cache_folder_as_path(tree):
    """It is the bytecode of the folder that it is in."""
    pair(tree / "a", "m", header() + BODY, mtime=0)
    put(tree / "a/other.py", SOURCE)
    found = listed("all", tree / "a/__pycache__")
    assert found.keys() == {str(tree / f"a/__pycache__/m.{TAG}.pyc")}
    assert {line["reason"] for line in found.values()} == {"canonical"}
    assert report(tree / "a/__pycache__")["sources"]["uncached"] == 0


def test_relative_path(tree):
    pair(tree / "a", "m", header() + BODY, mtime=0)
    assert listed("all", "a", cwd=tree).keys() == {str(tree / f"a/__pycache__/m.{TAG}.pyc")}
    assert report(".", cwd=tree / "a")["paths"] == [str(tree / "a")]


# ---- names, permissions, change ----

@pytest.mark.parametrize("name, read", [("m.cpython-34.pyc", True), ("m.cpython-34.pyo", False), ("m.pyo", False)])
def test_a_start_without_optimisation(tree, name, read):
    """It compiles what its bytecode would be for: 3.4's and 2.7's .pyo are -O's, wherever they lie."""
    magic = b"\xee\x0c\r\n" if "34" in name else b"\x03\xf3\r\n"
    put(tree / "m.py", SOURCE)
    put(tree / ("__pycache__" if "34" in name else "") / name, header(magic=magic) + BODY)
    counts = report(tree)["bytecode"]
    assert counts["stale"] == 1
    assert counts["compiled_bytes"] == (len(SOURCE) if read else 0)


def test_odd_names(tree):
    names = [b"caf\xe9", "naïve".encode(), b"tab\there", b"new\nline", b"'quo\"te\\"]
    for name in names:
        pair(tree / os.fsdecode(name), "m", header() + BODY, mtime=0)
    expected = {os.fsencode(tree) + b"/" + name + f"/__pycache__/m.{TAG}.pyc".encode()
                for name in names}
    assert {os.fsencode(path) for path in listed("restamped", tree)} == expected
    text = subprocess.run([CANONFS, "check", "--list", "all", tree],
                          stdout=subprocess.PIPE).stdout
    assert all(path + b"\t" in text for path in expected)
    table = subprocess.run([CANONFS, "check", "--by", "directory", tree],
                           stdout=subprocess.PIPE).stdout
    assert b"caf\\xe9" in table and "naïve".encode() in table and b"new\nline" not in table


def test_names_that_look_like_others(tree):
    """Marks of direction and of zero width are shown as what they are, to people."""
    source = tree / "a\u202eb" / "m\u200b.py"
    pair(source.parent, "m\u200b", header() + BODY, mtime=0)
    table = check("--by", "directory", tree).stdout
    assert r"a\xe2\x80\xaeb" in table
    explained = run(CANONFS, "explain", source, check=False).stdout
    assert r"a\xe2\x80\xaeb" in explained and r"m\xe2\x80\x8b" in explained
    for text in (table, explained):
        assert not re.search("[\u200b-\u200f\u202a-\u202e]", text)
    assert str(tree) in json.loads(check("--json", tree).stdout)["paths"]
    assert [path for path in listed("restamped", tree) if "a\u202eb" in path]


def as_nobody(*words):
    return run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", CANONFS, "check",
               *words, check=False)


@pytest.fixture
def for_nobody(folder):
    """A tree that anybody may read; and a program that anybody may run."""
    if as_nobody("--help").returncode != 0:
        missing("this build cannot be run by nobody")
    folder.chmod(0o755)
    path = folder / "tree"
    path.mkdir()
    yield path
    for place, _, _ in os.walk(path):
        os.chmod(place, 0o755)


def test_without_root(for_nobody):
    expected = corpus(for_nobody)
    done = as_nobody("--json", for_nobody)
    assert done.returncode == 2
    mine = report(for_nobody)
    its = json.loads(done.stdout)
    assert its["verdicts"] == mine["verdicts"]
    assert sum(its["verdicts"].values()) == len(expected)


def test_unreadable(for_nobody):
    """It is said, counted, and the rest is done."""
    for name in "abcd":
        pair(for_nobody / name, "m", header() + BODY, mtime=0)
    (for_nobody / "a").chmod(0)
    (for_nobody / "b/__pycache__").chmod(0)
    (for_nobody / f"c/__pycache__/m.{TAG}.pyc").chmod(0)
    done = as_nobody("--json", for_nobody)
    answer = json.loads(done.stdout)
    assert done.returncode == answer["status"] == 66
    assert answer["unreadable"] == 3
    assert answer["bytecode"]["files"] == 1
    # Nobody can say that b/m.py has none.
    assert answer["sources"]["uncached"] == 0
    for path in ("a", "b/__pycache__", f"c/__pycache__/m.{TAG}.pyc"):
        assert f"cannot look at '{for_nobody / path}': Permission denied" in done.stderr
    assert as_nobody("--quiet", for_nobody).returncode == 66


def test_much_that_is_unreadable(for_nobody):
    for number in range(25):
        (for_nobody / str(number)).mkdir(mode=0)
    done = as_nobody("--quiet", for_nobody)
    assert done.returncode == 66
    assert len(done.stderr.splitlines()) == 11
    assert "15 more" in done.stderr


def test_tree_that_changes(tree):
    """Files and directories come and go; what stays is counted."""
    for number in range(40):
        pair(tree / f"stays/{number}", "m", header() + BODY, mtime=0)
    stop = threading.Event()

    def churn():
        number = 0
        while not stop.is_set():
            number += 1
            pair(tree / f"goes{number % 7}", "m", header() + BODY, mtime=0)
            shutil.rmtree(tree / f"goes{(number + 3) % 7}", ignore_errors=True)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(30):
            done = check("--json", tree)
            assert done.returncode in (1, 2), done.stderr  # 2: half of a file was there
            answer = json.loads(done.stdout)
            assert 40 <= answer["reasons"]["canonical"] <= answer["bytecode"]["files"] <= 47
            assert answer["unreadable"] == 0
    finally:
        stop.set()
        thread.join()


# ---- links ----

def test_links_to_bytecode(tree):
    """A pyc that two different sources are paired with is judged as a mount judges it."""
    pair(tree / "a", "m", header() + BODY, mtime=0)
    put(tree / "b/m.py", SOURCE, 0)
    os.symlink("../a/__pycache__", tree / "b/__pycache__")
    # Another way to the same source is harmless.
    pair(tree / "c", "m", header() + BODY, mtime=0)
    os.mkdir(tree / "d")
    os.symlink("../c/m.py", tree / "d/m.py")
    os.symlink("../c/__pycache__", tree / "d/__pycache__")
    pyc = str(tree / f"a/__pycache__/m.{TAG}.pyc")
    # Listing looks at the links first; counting meets some after the files.
    assert listed("stale", tree).keys() == {pyc}
    assert listed("stale", tree)[pyc]["reason"] == "aliased"
    for threads in "12":
        answer = report("--jobs", threads, tree)
        assert nonzero(answer["reasons"]) == {"aliased": 1, "canonical": 1}
        assert answer["bytecode"]["files"] == 2
        assert answer["bytecode"]["links"] == 0
        assert answer["sources"]["uncached"] == 0
        assert answer["sources"]["files"] == 3
        assert sum(group["files"] for group in answer["groups"]) == 2
    os.symlink(pyc, tree / "b/n.pyc")
    assert report(tree)["bytecode"]["links"] == 1


def test_alias_that_loads_is_not_stale(tree):
    """For a's own reader nothing is wrong today."""
    pair(tree / "a", "m", header() + BODY)
    put(tree / "b/m.py", SOURCE, 0)
    os.symlink("../a/__pycache__", tree / "b/__pycache__")
    answer = report(tree)
    assert nonzero(answer["reasons"]) == {"aliased": 1}
    assert answer["status"] == 0


# ---- interpreters ----

def test_installed_interpreters(tree):
    """What each one compiles itself it loads; after a touch, it compiles."""
    pythons = [python for python in machine_pythons() if python.version >= (2, 7)]
    put(tree / "m.py", SOURCE)
    for python in pythons:
        run(python.program, "-E", "-s", "-m", "py_compile", tree / "m.py")
    fresh = report(tree)
    found = {entry["magic"]: entry for entry in fresh["interpreters"] if entry["installed"]}
    for python in pythons:
        entry = found[int.from_bytes(python.magic[:2], "little")]
        assert (entry["files"], entry["outcomes"]["loads"]) == (1, 1), (python, entry)
        assert entry["programs"]
    assert fresh["status"] == 0
    os.utime(tree / "m.py", (THEN + 9, THEN + 9))
    stale = report(tree)
    for entry in stale["interpreters"]:
        if entry["files"]:
            assert entry["outcomes"]["compiles"] == 1
            assert entry["compiled_bytes"] == len(SOURCE)
    assert stale["bytecode"]["stale"] == len({python.magic for python in pythons})


def test_version_that_is_not_installed(tree):
    put(tree / "m.py", SOURCE)
    put(tree / "__pycache__/m.cpython-37.pyc",
        header(magic=struct.pack("<H", 3394) + b"\r\n") + b"c")
    answer = report("--root", tree, "/")
    entry, = [entry for entry in answer["interpreters"] if entry["files"]]
    assert (entry["magic"], entry["installed"], entry["programs"]) == (3394, False, [])
    assert "not installed" in check("--root", tree).stdout


def test_magic_of_another_version_under_our_tag(tree):
    """Its own interpreter would load it, but the one that is here compiles."""
    other = struct.pack("<H", int.from_bytes(MAGIC[:2], "little") - 1) + b"\r\n"
    pair(tree, "m", header(magic=other) + BODY)
    entry, = [entry for entry in report(tree)["interpreters"] if entry["files"]]
    assert entry["magic"] == int.from_bytes(MAGIC[:2], "little")
    assert nonzero(entry["outcomes"]) == {"compiles": 1}


# ---- directories, distributions, packages ----

def groups(answer):
    return {(group["name"], group["path"]): group["stale"] for group in answer["groups"]}


def distribution(site, name, version, files, record=True):
    info = site / f"{name}-{version}.{'dist' if record else 'egg'}-info"
    if record:
        put(info / "RECORD", "".join(f"{file},sha256=x,1\n" for file in files).encode())
    else:
        put(info / "top_level.txt", "".join(f"{file}\n" for file in files).encode())


def test_groups(tree):
    site = tree / "lib/python3.11/site-packages"
    for place in (site / "requests", site / "requests/deep", site / "old", site / "nobody",
                  site / "shared", site, tree / "lib/python3.11/json", tree / "share/x/y"):
        pair(place, "m", header() + BODY, mtime=0)
    pair(site, "six", header() + BODY, mtime=0)
    distribution(site, "requests", "2.28.1", ["requests/m.py", "../../bin/x", "shared/a.py"])
    distribution(site, "six", "1.16", ["six.py", '"shared/b,c.py"', "__pycache__/six.pyc"])
    distribution(site, "Old", "0.1-py3.11", ["old"], record=False)
    assert groups(report(tree)) == {
        ("requests 2.28.1", str(site)): 2, ("six 1.16", str(site)): 1,
        ("Old 0.1", str(site)): 1, (None, str(site / "nobody")): 1,
        (None, str(site / "shared")): 1, (None, str(site)): 1,
        (None, str(tree / "lib/python3.11")): 1, (None, str(tree / "share/x/y")): 1}
    by_directory = groups(report("--by", "directory", tree))
    assert by_directory[None, str(site)] == 2
    assert by_directory[None, str(site / "requests/deep")] == 1
    assert len(by_directory) == 8
    text = check("--top", "2", tree).stdout
    assert "requests 2.28.1" in text and "the worst 2" in text
    assert "the worst" not in check("--top", "0", tree).stdout


def test_packages(tree):
    root = tree / "root"
    for place in ("usr/lib/python3/dist-packages/a", "usr/lib/python3/dist-packages/b",
                  "usr/lib/mine"):
        pair(root / place, "m", header() + BODY, mtime=0)
    put(root / "var/lib/dpkg/info/python3-a.list", b"/.\n/usr\n"
        b"/usr/lib/python3/dist-packages/a/m.py\n")
    put(root / "var/lib/dpkg/info/libb:amd64.list", b"/lib/python3/dist-packages/b/m.py\n")
    answer = report("--by", "package", "--root", root)
    assert groups(answer) == {("python3-a", None): 1, ("libb", None): 1,
                              (None, "/usr/lib/mine"): 1}
    assert answer["grouped_by"] == "package"
    shutil.rmtree(root / "var")
    done = check("--by", "package", "--root", root)
    assert done.returncode == 1
    assert "dpkg" in done.stderr


# ---- real trees: an independent count, and what a mount serves ----

def expected_verdicts(tree, root):
    """Verdicts of timestamp pycs of 3.7+, in Python. Sources are followed inside of @root."""
    counts = {}
    for place, _, names in os.walk(tree):
        for name in names:
            path = pathlib.Path(place, name)
            if not name.endswith(".pyc") or path.is_symlink():
                continue
            verdict = expected_verdict(path, root)
            counts[verdict] = counts.get(verdict, 0) + 1
    return counts


def follow(path, root):
    """The file that a link leads to for a reader in @root, or None."""
    for _ in range(40):
        if not path.is_symlink():
            return path if path.is_file() else None
        target = os.readlink(path)
        path = root / target[1:] if target.startswith("/") else path.parent / target
    return None


def expected_verdict(path, root):
    data = path.read_bytes()
    assert path.parent.name == "__pycache__", path
    stem = re.fullmatch(r"(.+?)\.[a-z]+[-0-9]+(\.opt-[12])?\.pyc", path.name).group(1)
    source = follow(path.parent.parent / f"{stem}.py", root)
    flags, mtime, size = struct.unpack("<III", data[4:16])
    assert flags == 0
    if source is None:
        return "orphan"
    found = source.stat()
    if found.st_size != size:
        return "stale"
    if int(found.st_mtime) == mtime:
        return "fresh"
    if size and (found.st_mtime not in CANONICAL or found.st_mtime > mtime):
        return "stale"
    if data[:4] == MAGIC:
        marshal.loads(data[16:])
    return "restamped"


def test_ostree_image():
    root = image("ostree")
    if root.joinpath("usr/bin/python3").resolve().name != f"python3.{sys.version_info[1]}":
        missing("an image of this version of Python")
    answer = report("--root", root, "/usr")
    assert nonzero(answer["verdicts"]) == expected_verdicts(root / "usr", root)
    assert answer["bytecode"]["files"] > 1000
    assert answer["bytecode"]["stale"] == answer["bytecode"]["files"]
    entry, = [entry for entry in answer["interpreters"] if entry["files"]]
    assert entry["installed"] and entry["programs"][0]["program"].startswith("/usr/bin/")
    # The image's links lead elsewhere without --root.
    outside = report(root / "usr")
    assert nonzero(outside["verdicts"]) == expected_verdicts(root / "usr", pathlib.Path("/"))


def test_is_what_the_mount_serves(folder):
    """A file's header differs from the disk's where check says restamped, and only there."""
    root = image("ostree")
    point = folder / "point"
    point.mkdir()
    source = root / "usr/lib/python3.11"
    verdicts = {path: line["verdict"] for path, line in listed("all", source).items()}
    assert len(verdicts) > 500
    with mounted(source, point):
        for path, verdict in verdicts.items():
            served = (point / os.path.relpath(path, source)).read_bytes()
            disk = pathlib.Path(path).read_bytes()
            assert (served[:16] != disk[:16]) == (verdict == "restamped"), path
            assert served[16:] == disk[16:]
        # And what is mounted has nothing stale.
        assert report(point)["bytecode"]["stale"] == list(verdicts.values()).count("stale")


def test_corpus_is_what_the_mount_serves(folder):
    tree, point = folder / "tree", folder / "point"
    tree.mkdir()
    point.mkdir()
    expected = corpus(tree)
    with mounted(tree, point):
        changed = {path for path in expected if pathlib.Path(path).read_bytes() !=
                   (point / os.path.relpath(path, tree)).read_bytes()}
    assert changed == {path for path, facts in expected.items() if facts[0] == "restamped"}


def test_pyenv_image():
    root = image("pyenv")
    answer = report(root)
    # Each version's own compiler wrote these; a file count by another way.
    names = [name for _, _, names in os.walk(root) for name in names
             if name.endswith((".pyc", ".pyo"))]
    assert answer["bytecode"]["files"] == len(names)
    for path, line in listed("stale", root).items():
        assert line["outcome"] in ("compiles", "loads"), path
    known = {entry["magic"] for entry in answer["interpreters"] if entry["files"]}
    tags = {name.split(".")[-2] for name in names if "cpython-3" in name and "opt" not in name}
    assert len(known - {None}) >= len(tags) > 3


# ---- terminals and pipes ----

def on_terminal(*words, columns=100, **environment):
    """What a terminal shows, everything of it."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    variables = {"PATH": os.environ["PATH"], "TERM": "xterm", "HOME": "/",
                 "STATE_DIRECTORY": os.environ["STATE_DIRECTORY"], **environment}
    process = subprocess.Popen([CANONFS, "check", *[str(word) for word in words]],
                               stdin=follower, stdout=follower, stderr=follower, env=variables)
    os.close(follower)
    data = b""
    while process.poll() is None or select.select([leader], [], [], 0)[0]:
        if not select.select([leader], [], [], 0.1)[0]:
            continue
        try:
            data += os.read(leader, 65536)
        except OSError:
            break
    process.wait()
    os.close(leader)
    return data.decode()


def lines_of(text):
    plain = re.sub(r"\x1b\[[0-9;]*[mK]", "", text)
    return [line.rsplit("\r", 1)[-1] for line in plain.replace("\r\n", "\n").split("\n")]


def test_terminal(tree):
    pair(tree / ("long" * 20) / ("name" * 20), "m", header() + BODY, mtime=0)
    shown = on_terminal(tree, columns=72)
    assert "\x1b[1m" in shown and "\x1b[33m" in shown
    table = [line for line in lines_of(shown) if line.startswith(("VERDICT", "restamped", "STALE",
                                                                  "    1"))]
    assert len(table) == 4
    assert all(len(line) <= 72 for line in table)
    assert "...name" in table[3] or "..." in table[3]
    assert "\x1b" not in on_terminal(tree, NO_COLOR="1")
    assert "\x1b" not in on_terminal(tree, TERM="dumb")


def test_pipe(tree):
    """No colours, nothing cut, and nothing on standard error."""
    deep = tree / ("long" * 20) / ("name" * 20)
    pair(deep, "m", header() + BODY, mtime=0)
    done = check(tree, env={**os.environ, "TERM": "xterm"})
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    assert str(deep) in done.stdout
    assert done.stderr == ""
    assert "1 of 1 bytecode file is stale" in done.stdout.replace("  ", " ")


def test_advice(tree):
    """Commands that a shell takes as they are; after all of them nothing is stale."""
    odd = tree / "it's $odd"
    pair(odd, "canonical", header() + BODY, mtime=0)
    pair(odd, "size", header(size=3) + BODY, mtime=0)
    pair(odd, "corrupt", header() + BODY[:-9], mtime=0)
    pair(odd, "damaged", header() + BODY[:-9])
    env = {**os.environ, "PATH": f"{CANONFS.parent}:{os.environ['PATH']}"}
    text = check(odd, "-o", "cache=off").stdout
    commands = [line.strip() for line in text[text.index("What to do:\n"):].splitlines()[1:]
                if not line.startswith("   ")]
    mount = f"canonfs '{str(odd).replace(chr(39), chr(39) + chr(92) + 2 * chr(39))}' "
    assert commands[0].startswith(mount) and commands[0].endswith(" -o cache=off")
    for command in commands:
        done = run("sh", "-c", command, env=env, check=False)
        assert done.returncode in (0, 2), (command, done.stderr)
        if command == commands[0]:
            assert check(odd).returncode == 2
            run(CANONFS, "umount", odd)
        elif "--list" in command:
            name = {"stale": "size"}.get(command.split()[3], command.split()[3])
            assert f"/{name}.{TAG}.pyc" in done.stdout
            assert len(done.stdout.splitlines()) == 1
        elif "compileall" in command:
            assert check(odd).returncode == 0
        else:
            assert "corrupt" in done.stdout
    assert len(commands) == 6


def test_owner_of_the_tree():
    """Of two interpreters that read the same bytecode, the one whose libraries these are."""
    for python in machine_pythons():
        library, release = python.json("import json, os, platform\n"
                                       "print(json.dumps([os.path.dirname(os.__file__), platform.python_version()]))")
        for line in check(library).stdout.splitlines():
            if line.startswith(f"{python.name} ("):
                assert release in line, python


def test_progress(tree):
    """A bar that is gone at the end; only where somebody looks."""
    body = header() + marshal.dumps(compile("x = [%s]\n" % ", ".join(map(str, range(3000))),
                                            "m.py", "exec"))
    for number in range(40):
        for module in range(50):
            pair(tree / str(number), f"m{module}", body, mtime=0)
    shown = on_terminal("--jobs", "1", tree) + slowly(tree)
    bars = re.findall(r"checking \[(#*) *\] +(\d+)%  ([\d,]+) of ([\d,]+) files", shown)
    assert bars, shown[:500]
    assert {total for _, _, _, total in bars} == {"2,000"}
    assert shown.count("\x1b[K") > len(bars)  # the last one was cleared
    assert "checking [" not in slowly(tree, "--quiet")


def slowly(tree, *words):
    """The same on a disk that takes its time: the program is stopped now and then."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 100, 0, 0))
    process = subprocess.Popen([CANONFS, "check", "--jobs", "1", *words, str(tree)],
                               stdin=follower, stdout=follower, stderr=follower,
                               env={**os.environ, "TERM": "xterm"})
    os.close(follower)
    data = b""
    while True:
        if process.poll() is None:
            process.send_signal(19)  # SIGSTOP
            time.sleep(0.05)
            process.send_signal(18)  # SIGCONT
        if select.select([leader], [], [], 0.002)[0]:
            try:
                data += os.read(leader, 65536)
            except OSError:
                break
        elif process.poll() is not None:
            break
    process.wait()
    os.close(leader)
    return data.decode()


def test_a_stopped_terminal(tree):
    """Who draws on it waits until it goes on (Ctrl-S, Ctrl-Q). Nobody else does."""
    count = 2000
    for number in range(count // 50):
        for module in range(50):
            pair(tree / str(number), f"m{module}", header() + BODY, mtime=0)
    leader, follower = pty.openpty()
    termios.tcflow(follower, termios.TCOOFF)
    process = subprocess.Popen([CANONFS, "check", "--jobs", "2", "--list", "all", tree],
                               stdout=subprocess.PIPE, stderr=follower,
                               env={**os.environ, "TERM": "xterm"})
    try:
        # The walk waits for us: a pipe holds less than all lines. Meanwhile the line is drawn.
        time.sleep(1)
        data, end = b"", time.monotonic() + 30
        # What is in its buffer comes at its end.
        while data.count(b"\n") < count - 100 and time.monotonic() < end:
            if select.select([process.stdout], [], [], 0.1)[0]:
                data += os.read(process.stdout.fileno(), 65536)
        assert data.count(b"\n") >= count - 100
        assert not select.select([leader], [], [], 0)[0], "the terminal is not stopped"
        termios.tcflow(follower, termios.TCOON)
        data += process.communicate(timeout=30)[0]
        assert data.count(b"\n") == count
        assert b"checking [" in os.read(leader, 65536)
    finally:
        process.kill()
        termios.tcflow(follower, termios.TCOON)
        process.wait()
        os.close(leader)
        os.close(follower)


def test_full_disk(tree):
    pair(tree, "m", header() + BODY, mtime=0)
    with open("/dev/full", "w") as full:
        done = subprocess.run([CANONFS, "check", tree], stdout=full, stderr=subprocess.PIPE,
                              text=True)
    assert done.returncode == 74
    assert "cannot write to standard output" in done.stderr


# ---- mounts below ----

def test_submount_is_left_out(tree):
    pair(tree / "a", "m", header() + BODY, mtime=0)
    os.mkdir(tree / "below")
    run("mount", "-t", "tmpfs", "none", tree / "below")
    try:
        pair(tree / "below", "m", header() + BODY, mtime=0)
        answer = report(tree)
        assert (answer["bytecode"]["files"], answer["submounts"]) == (1, 1)
        assert "1 file system is mounted below" in check(tree).stdout
    finally:
        run("umount", tree / "below")
