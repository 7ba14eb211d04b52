# SPDX-License-Identifier: GPL-2.0-or-later
"""canonfs trace -- COMMAND says what became of each import; python -v says so, too."""
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys

import jsonschema
import pytest

from conftest import CANONFS, TOP, image, missing, mounted, run, wait_until
from pythons import (ENVIRONMENT, bound_read_only, chroot_pythons, compiled, header,
                     machine_pythons, prefix_pythons, write)

sys.path.insert(0, str(TOP / "tests/bench"))
from modules import IMPORT_ALL  # noqa: E402

SCHEMA = json.loads((TOP / "cli/schema/trace-command.json").read_text())
PYTHONS = machine_pythons()
THEN = 1_600_000_000
USED = ("bytecode", "checked", "sourceless")


class Report:
    """What canonfs trace --json said, and how the command ended."""

    def __init__(self, done, text):
        self.done = done
        self.json = json.loads(text)
        jsonschema.validate(self.json, SCHEMA)
        self.modules = self.json["modules"]
        totals = {how: sum(module["processes"] for module in self.modules if module["how"] == how)
                  for how in SCHEMA["definitions"]["how"]["enum"]}
        assert {how: self.json["totals"][how] for how in totals} == totals
        assert self.json["totals"]["imports"] == sum(totals.values())

    def of(self, stem):
        """The one module of that name."""
        found = [module for module in self.modules
                 if pathlib.Path(module["bytecode"]).name.split(".")[0] == stem]
        assert len(found) == 1, f"{stem}: {found}"
        return found[0]

    def hows(self, *stems):
        return {stem: self.of(stem)["how"] for stem in stems}


def trace(folder, *command, status=0, env=None, wrapper=(), **options):
    out = folder / "trace.json"
    done = subprocess.run([*map(str, wrapper), str(CANONFS), "trace", "--json", "-o", str(out), "--",
                           *map(str, command)],
                          text=True, errors="surrogateescape", capture_output=True, timeout=120,
                          env=ENVIRONMENT if env is None else env, **{"cwd": folder, **options})
    assert done.returncode == status, done.stderr
    return Report(done, out.read_text(errors="surrogateescape"))


def python_of(name):
    for python in PYTHONS:
        if python.name == name:
            return python
    missing(f"{name} is not installed")


@pytest.fixture
def system():
    return python_of("python3")


@pytest.fixture(params=PYTHONS, ids=str)
def python(request):
    return request.param


def make_module(python, tree, name, mtime=THEN, embedded=None, flags=0, text=None, body=None,
                pyc=True, magic=None, size=None):
    """NAME.py in tree, with bytecode."""
    text = text or f"{name} = {len(name)}\n"
    source = tree / f"{name}.py"
    write(source, text, mtime * 10**9)
    if not pyc:
        return source
    head = header(python, mtime if embedded is None else embedded, len(text) if size is None else size,
                  flags, magic)
    write(python.cached(str(source)), head + (compiled(python, [text])[0] if body is None else body))
    return source


def import_all(python, tree, *names, options=()):
    return python.command(*options, "-c", f"import sys; sys.path.insert(0, {str(tree)!r}); "
                          "import " + ", ".join(names))


# ---- the truth: python -v ----

def says(python, stderr):
    """The files that an interpreter took code from, by its own word."""
    words = re.findall(r"# code object from (.*)", stderr)
    words += re.findall(r"^import \S+ # (?:precompiled )?from (.*)$", stderr, re.M)
    return {python.ours(os.path.normpath(word.strip().strip("'"))) for word in words}


def compare_with_python(python, folder):
    report = trace(folder, *python.command("-v", "-c", IMPORT_ALL), stdin=subprocess.DEVNULL)
    traced = {module["bytecode" if module["how"] in USED else "source"] for module in report.modules}
    said = says(python, report.done.stderr)
    assert len(said) > 200
    assert said - traced == set()
    # PyPy imports the codec of its standard streams before it begins to talk.
    early = {path for path in traced - said
             if python.is_pypy and re.search(r"/codecs\.py|/encodings/|/__pycache__/codecs\.", path)}
    assert traced - said == early
    return report


def test_agrees_with_python(python, folder):
    """Fresh bytecode, as packages install it."""
    assert compare_with_python(python, folder).json["totals"]["bytecode"] > 200


@pytest.mark.parametrize("name", ["pyenv", "pypy", "ostree"])
def test_agrees_with_python_on_images(name, folder):
    with bound_read_only(image(name), folder / "image") as root:
        pythons = chroot_pythons(root) if name == "ostree" else prefix_pythons(root)
        for python in pythons:
            report = compare_with_python(python, folder)
            assert report.json["totals"]["compiled"] == report.json["totals"]["imports"], python
            for module in report.modules:
                assert module["verdict"] == "restamped", (python, module)
                assert module["advice"] == "mount"


def test_through_a_mount(folder):
    with bound_read_only(image("ostree"), folder / "image") as root:
        python = chroot_pythons(root)[0]
        before = trace(folder, *python.command("-c", "import asyncio"))
        tree, = {module["tree"] for module in before.modules}
        assert before.json["totals"]["bytecode"] == 0
        with mounted(tree, tree, f"root={root}"):
            after = trace(folder, *python.command("-c", "import asyncio"))
        assert after.json["totals"]["bytecode"] == before.json["totals"]["imports"]
        assert {module["mounted"] for module in after.modules} == {True}


def test_proved(system, folder):
    """A proof is why a mount vouches, and no reason for Python to compile."""
    make_module(system, folder / "tree", "m", mtime=0, embedded=THEN)
    run(CANONFS, "verify", folder / "tree")
    module = trace(folder, *import_all(system, folder / "tree", "m"), env=dict(os.environ)).of("m")
    assert (module["reason"], module["advice"]) == ("proved", "mount")
    assert module["why"] == "it was compiled from a source file with another time"


@pytest.mark.usefixtures("passthrough")
def test_a_mount_gives_its_own_reason(system, folder):
    """Under other options than the default ones."""
    tree, point = folder / "tree", folder / "point"
    point.mkdir()
    make_module(system, tree, "canonical", mtime=0, embedded=THEN)
    with mounted(tree, point, "trust=verified,immutable"):
        report = trace(folder, *import_all(system, point, "canonical"))
    assert report.of("canonical")["how"] == "compiled"
    assert report.of("canonical")["verdict"] == "stale"
    assert report.of("canonical")["reason"] == "not-proved"
    assert report.of("canonical")["advice"] == "explain"


# ---- which tree? ----

def explained(*arguments):
    """What canonfs explain says of each source, by its path."""
    report = json.loads(run(CANONFS, "explain", "--json", *arguments).stdout)
    return {source["path"]: source for source in report["sources"]}


def commands(folder, *command):
    """What trace tells people to run, for all that did not use its bytecode."""
    out = folder / "trace.text"
    run(CANONFS, "trace", "-o", out, "--", *command)
    return re.findall(r"-> (.*)", out.read_text())


@pytest.mark.parametrize("place, tree", [
    ("usr/lib/python3/dist-packages", "usr"),
    ("usr/local/lib/python3.11/site-packages", "usr"),
    ("usr/share/app", "usr"),
    ("opt/venv/lib/python3.11/site-packages", "opt/venv"),
    ("srv/app", "srv/app"),
    ("srv/app/package", "srv/app"),
    ("link", "opt/venv"),
])
def test_trace_and_explain_name_one_tree(system, folder, place, tree):
    (folder / "opt/venv/lib/python3/site-packages").mkdir(parents=True)
    (folder / "link").symlink_to("opt/venv/lib/python3/site-packages")
    source = make_module(system, folder / place, "canonical", mtime=0, embedded=THEN)
    if place.endswith("/package"):
        make_module(system, folder / place, "__init__", mtime=0, embedded=THEN)
    command = import_all(system, folder / place, "canonical")
    expected = f"canonfs {folder / tree} {folder / tree}"
    assert trace(folder, *command).of("canonical")["tree"] == str(folder / tree)
    assert commands(folder, *command) == [expected]
    said, = explained(source).values()
    assert said["tree"]["path"] == str(folder / tree)
    assert [pyc["changes"][0] for pyc in said["bytecode"]] == [expected]


@pytest.mark.parametrize("options", ["ro", "rw"])
def test_a_mount_bounds_the_tree(system, folder, options):
    """canonfs shows nothing of other mounts; a read-only one is likely an image."""
    place, mount = folder / "image/app/data", folder / "image"
    mount.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", mount)
    try:
        source = make_module(system, place, "canonical", mtime=0, embedded=THEN)
        run("mount", "-o", f"remount,{options}", mount)
        report = trace(folder, *import_all(system, place, "canonical"))
        tree = mount if options == "ro" else place
        assert report.of("canonical")["tree"] == str(tree)
        assert explained(source)[str(source)]["tree"]["path"] == str(tree)
    finally:
        run("umount", mount)


def test_trace_and_explain_name_one_tree_of_an_image(folder):
    with bound_read_only(image("ostree"), folder / "image") as root:
        for python in chroot_pythons(root):
            command = python.command("-c", "import json, asyncio")
            modules = trace(folder, *command).modules
            expected = f"canonfs {root}/usr {root}/usr -o root={root}"
            assert {module["tree"] for module in modules} == {f"{root}/usr"}
            assert commands(folder, *command) == [expected]
            said = explained("--root", root, *{python.seen(module["source"]) for module in modules})
            assert len(said) == len(modules)
            for source in said.values():
                assert source["tree"]["path"] == f"{root}/usr"
                assert {pyc["changes"][0] for pyc in source["bytecode"]} == {expected}


@pytest.mark.usefixtures("passthrough")
def test_trace_and_explain_name_the_mount(system, folder):
    """Below a mount of ours it is that one, and explain knows what would have to change."""
    tree, point = folder / "usr/lib/python3/app", folder / "point"
    point.mkdir()
    make_module(system, tree, "canonical", mtime=0, embedded=THEN)
    with mounted(folder / "usr", point, "trust=verified,immutable"):
        seen = point / "lib/python3/app"
        command = import_all(system, seen, "canonical")
        assert trace(folder, *command).of("canonical")["tree"] == str(point)
        assert commands(folder, *command) == [f"canonfs explain {seen}/canonical.py"]
        said = explained(seen / "canonical.py")[f"{seen}/canonical.py"]
        assert said["tree"] == {"path": str(point), "shared_mtime": None, "canonfs": str(folder / "usr"),
                                "proofs_unread": None}


def test_compiled_at_the_level_that_is_read(python, folder):
    """2.7's .pyo is -O's, which -OO reads as well."""
    make_module(python, folder / "tree", "absent", pyc=False)
    for level, option in enumerate(["", " -O", " -O" if python.version < (3, 5) else " -OO"]):
        command = python.command("-c", f"import sys; sys.path.insert(0, '{folder / 'tree'}'); import absent",
                                 level=level)
        if level < 2 or option == " -OO":
            advice = f"{os.path.realpath(python.program)}{option} -m compileall -q {folder / 'tree'}"
            assert advice in commands(folder, *command)
            run(*advice.split())
        assert trace(folder, *command).of("absent")["how"] == "bytecode"


def test_compile_what_holds_the_sources(system, folder):
    """And not what is above it, however many there are."""
    for name in ("a", "b", "c"):
        make_module(system, folder / "usr/app", name, pyc=False)
    for name in ("one", "two"):
        make_module(system, folder / "usr/app" / name, "__init__", pyc=False)
    program = os.path.realpath(system.program)
    for names, place in ((("a", "b", "c"), "usr/app"), (("one", "two"), "usr/app"), (("one",), "usr/app/one")):
        command = import_all(system, folder / "usr/app", *names)
        assert commands(folder, *command) == [f"{program} -m compileall -q {folder / place}"]


# ---- one module of each kind ----

def test_kinds(python, folder):
    tree = folder / "tree"
    tree.mkdir()
    make_module(python, tree, "fresh")
    make_module(python, tree, "touched", embedded=THEN - 60)
    make_module(python, tree, "canonical", mtime=0, embedded=THEN)
    make_module(python, tree, "absent", pyc=False)
    make_module(python, tree, "foreign", magic=b"\x99\x99\r\n")
    write(python.cached(str(make_module(python, tree, "cut", pyc=False))), python.magic)
    body, = compiled(python, ["alone = 1\n"])
    write(tree / "alone.pyc", header(python, THEN, 10) + body)
    expected = {"fresh": "bytecode", "touched": "compiled", "canonical": "compiled",
                "absent": "no-bytecode", "foreign": "compiled", "cut": "compiled",
                "alone": "sourceless"}
    if python.header_size > 8:
        make_module(python, tree, "resized", size=5)
        expected["resized"] = "compiled"
    report = trace(folder, *import_all(python, tree, *expected))
    assert report.hows(*expected) == expected
    assert report.of("touched")["reason"] == "newer"
    assert report.of("touched")["advice"] == "explain"
    assert report.of("touched")["embedded_mtime"] == THEN - 60
    assert report.of("touched")["source_mtime"] == THEN
    assert report.of("canonical")["verdict"] == "restamped"
    assert report.of("canonical")["advice"] == "mount"
    assert report.of("absent")["advice"] == "compile"
    assert report.of("foreign")["verdict"] == "foreign"
    assert report.of("cut")["verdict"] == "corrupt"
    assert report.of("fresh")["why"] is None
    assert report.of("alone")["source"] is None


def with_hashes(python):
    if python.header_size < 16:
        pytest.skip("no hash pycs before 3.7")
    return python


HASHED = ("import py_compile, sys; py_compile.compile(sys.argv[1], invalidation_mode="
          "getattr(py_compile.PycInvalidationMode, sys.argv[2]))")


def make_hashed(python, tree, name, mode):
    source = make_module(python, tree, name, pyc=False)
    assert python.run(HASHED, source, mode).returncode == 0
    return source


def test_hashes(python, folder):
    with_hashes(python)
    tree = folder / "tree"
    make_hashed(python, tree, "checked", "CHECKED_HASH")
    make_hashed(python, tree, "unchecked", "UNCHECKED_HASH")
    make_hashed(python, tree, "edited", "CHECKED_HASH").write_text("edited = 'otherwise'\n")
    command = import_all(python, tree, "checked", "unchecked", "edited")
    report = trace(folder, *command)
    assert report.hows("checked", "unchecked", "edited") == {
        "checked": "checked", "unchecked": "bytecode", "edited": "compiled"}
    assert report.of("edited")["why"] == "its hash is not that of the source file"
    # Without -B it is written anew, so that its hash can only be told by that.
    command.remove("-B")
    report = trace(folder, *command)
    assert report.of("edited")["how"] == "compiled"
    assert report.of("edited")["kept"] == 1
    assert trace(folder, *command).of("edited")["how"] == "checked"


def test_damaged_code(python, folder):
    """Its header matches, so the import fails."""
    tree = folder / "tree"
    make_module(python, tree, "damaged", body=b"\xe3\0\0")
    report = trace(folder, *import_all(python, tree, "damaged"), status=1)
    assert report.of("damaged")["how"] == "failed"
    assert report.of("damaged")["why"] == "its code is damaged and would not load"


def test_written_back(python, folder):
    tree = folder / "tree"
    make_module(python, tree, "touched", embedded=THEN - 60)
    make_module(python, tree, "absent", pyc=False)
    command = import_all(python, tree, "touched", "absent")
    command.remove("-B")
    first = trace(folder, *command)
    assert first.hows("touched", "absent") == {"touched": "compiled", "absent": "no-bytecode"}
    assert [first.of(name)["kept"] for name in ("touched", "absent")] == [1, 1]
    assert first.of("touched")["advice"] == "nothing"
    assert first.of("touched")["verdict"] is None  # the file that it was about is gone
    second = trace(folder, *command)
    assert second.hows("touched", "absent") == {"touched": "bytecode", "absent": "bytecode"}


def test_written_back_between_two_processes(system, folder):
    """The same file is stale in one, and used in the next."""
    tree = folder / "tree"
    make_module(system, tree, "touched", embedded=THEN - 60)
    one = f"{system.program} -c 'import sys; sys.path.insert(0, \"tree\"); import touched'"
    report = trace(folder, "sh", "-c", f"{one}; {one}; {one}")
    found = {module["how"]: module["processes"] for module in report.modules
             if module["source"].endswith("touched.py")}
    assert found == {"compiled": 1, "bytecode": 2}


def test_python_c_prefix(system, folder):
    tree = folder / "tree"
    make_module(system, tree, "plain", pyc=False)
    command = import_all(system, tree, "plain")
    command.remove("-E")
    command.remove("-B")
    env = {**ENVIRONMENT, "PYTHONPYCACHEPREFIX": str(folder / "cache")}
    first, second = trace(folder, *command, env=env), trace(folder, *command, env=env)
    assert first.of("plain")["how"] == "no-bytecode"
    assert second.of("plain")["how"] == "bytecode"
    assert second.of("plain")["bytecode"].startswith(str(folder / "cache"))


# ---- what is no import ----

def test_tracebacks_and_readers(python, folder):
    """Sources that are read for another reason than to be compiled."""
    tree = folder / "tree"
    make_module(python, tree, "raises", text="def f():\n    raise ValueError\nf()\n")
    make_module(python, tree, "read")
    make_module(python, tree, "unread")
    report = trace(folder, *python.command("-c", f"""
import sys, linecache, traceback
sys.path.insert(0, {str(tree)!r})
import read
open({str(tree / 'unread.py')!r}).read()
linecache.getlines({str(tree / 'read.py')!r})
try:
    import raises
except ValueError:
    traceback.print_exc()
"""))
    assert "raise ValueError" in report.done.stderr
    assert report.hows("read", "raises") == {"read": "bytecode", "raises": "bytecode"}
    assert not [module for module in report.modules if "unread" in (module["source"] or "")]


def test_other_programs(system, folder):
    """Who copies bytecode imports nothing."""
    tree = folder / "tree"
    source = make_module(system, tree, "fresh")
    report = trace(folder, "sh", "-c", 'cat "$1" "$2" >/dev/null; tar cf /dev/null tree', "sh",
                   system.cached(str(source)), source)
    assert report.modules == []
    assert report.json["processes"] == 0


# ---- processes ----

def test_shell_script(system, folder):
    tree = folder / "tree"
    make_module(system, tree, "fresh")
    make_module(system, tree, "absent", pyc=False)
    script = folder / "script"
    script.write_text(f"#!/bin/sh\n{system.program} -B -c \"$1 fresh\" && echo between\n"
                      f"env {system.program} -B -c \"$1 fresh, absent\"\nexit 3\n")
    script.chmod(0o755)
    report = trace(folder, script, "import sys; sys.path.insert(0, 'tree'); import", status=3)
    assert report.done.stdout == "between\n"
    assert report.json["processes"] == 2
    assert report.of("fresh")["processes"] == 2
    assert report.of("absent")["processes"] == 1


MULTIPROCESSING = """
import multiprocessing, sys
sys.path.insert(0, "tree")
def work(number):
    import fresh
    return number + len(fresh.__name__)
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    children = [context.Process(target=work, args=(i,)) for i in range(3)]
    [child.start() for child in children]
    [child.join() for child in children]
    print(sum(child.exitcode for child in children))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(system, folder, method):
    make_module(system, folder / "tree", "fresh")
    write(folder / "main.py", MULTIPROCESSING)
    report = trace(folder, *system.command("main.py", method))
    assert report.done.stdout == "0\n"
    assert report.of("fresh") == {**report.of("fresh"), "how": "bytecode", "processes": 3}


THREADS = """
import sys, threading
sys.path.insert(0, "tree")
names = ["m%d" % i for i in range(60)]
def work(part):
    for name in part:
        __import__(name)
threads = [threading.Thread(target=work, args=(names[i::6],)) for i in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_threads(python, folder):
    """Imports at the same time; every third is stale."""
    names = [f"m{i}" for i in range(60)]
    text = "x = 1\n"
    body, = compiled(python, [text])
    for i, name in enumerate(names):
        make_module(python, folder / "tree", name, text=text, body=body,
                    embedded=THEN - 60 if i % 3 == 0 else None)
    report = trace(folder, *python.command("-c", THREADS))
    assert report.hows(*names) == {name: "bytecode" if i % 3 else "compiled"
                                   for i, name in enumerate(names)}


def test_exec_chain(system, folder):
    """One process, three programs; the last from a thread that is not the first."""
    make_module(system, folder / "tree", "before")
    make_module(system, folder / "tree", "fresh")
    last = "import sys; sys.path.insert(0, 'tree'); import fresh"
    middle = ("import os, sys, threading; sys.path.insert(0, 'tree'); threading.Thread(target=lambda: "
              f"(__import__('before'), os.execv({system.program!r}, ['python3', '-B', '-c', {last!r}]))).start()")
    report = trace(folder, "sh", "-c", 'exec "$@"', "sh", *system.command("-c", middle))
    assert report.json["processes"] == 2
    assert report.hows("before", "fresh") == {"before": "bytecode", "fresh": "bytecode"}


def test_left_behind(system, folder):
    """What the command started in the background belongs to it."""
    make_module(system, folder / "tree", "fresh")
    later = f"{system.program} -B -c 'import sys; sys.path.insert(0, \"tree\"); import fresh'"
    report = trace(folder, "sh", "-c", f"(sleep 0.3; {later}) & exit 4", status=4)
    assert report.of("fresh")["processes"] == 1


# ---- exit status, signals, streams ----

@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_killed(folder, number):
    report = trace(folder, "sh", "-c", f"kill -{int(number)} $$", status=128 + number)
    assert report.json["status"] == 128 + number


def test_not_there(folder):
    write(folder / "data", "no program\n")
    for name, status, why in (("no-such-program", 127, "No such file or directory"),
                              (folder / "data", 126, "Permission denied")):
        done = run(CANONFS, "trace", "--", name, check=False)
        assert done.returncode == status
        assert done.stderr.count("\n") == 1 and why in done.stderr
        assert done.stdout == ""


@pytest.mark.parametrize("arguments", [[], ["true", "true"], ["--"], ["--bad", "--", "true"],
                                       ["-o"], ["a", "--", "true"]])
def test_wrong_usage(arguments):
    done = run(CANONFS, "trace", *arguments, check=False)
    assert done.returncode == 64
    assert "usage: canonfs trace" in done.stderr


def test_help():
    done = run(CANONFS, "trace", "--help")
    assert "canonfs trace -- python3" in done.stdout


def test_output_cannot_be_written(folder):
    done = run(CANONFS, "trace", "-o", folder / "no/where", "--", "echo", "ran", check=False)
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.count("\n") == 1
    done = run(CANONFS, "trace", "-o", "/dev/full", "--", "echo", "ran", check=False)
    assert (done.returncode, done.stdout) == (125, "ran\n")
    assert "No space left" in done.stderr


def test_traced_already(folder):
    if not shutil.which("strace"):
        missing("strace is not installed")
    done = run("strace", "-f", "-o", folder / "log", CANONFS, "trace", "--", "echo", "ran", check=False,
               env={**ENVIRONMENT, "ASAN_OPTIONS": "detect_leaks=0"})
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.count("\n") == 1 and "it is traced already" in done.stderr


def test_streams(system, folder):
    """Input, output, errors, further descriptors and the signal mask are the command's."""
    script = ("import os, signal, sys; data = sys.stdin.read(); print(data * 2, end='');"
              "print(os.read(7, 100).decode(), end='');"
              "print([fd for fd in range(20) if os.path.exists('/proc/self/fd/%d' % fd)],"
              " signal.pthread_sigmask(signal.SIG_BLOCK, []), file=sys.stderr)")
    read, write_end = os.pipe()
    os.write(write_end, b"seven")
    os.close(write_end)
    with os.fdopen(read):
        command = ["bash", "-c", f'exec "$@" 7<&{read} {read}<&-', "bash", CANONFS, "trace", "-o",
                   folder / "out", "--", *system.command("-c", script)]
        done = run(*command, input="twice\n", pass_fds=[read])
    assert done.stdout == "twice\ntwice\nseven"
    assert done.stderr == "[0, 1, 2, 7] set()\n"


@contextlib.contextmanager
def started(folder, *command, **options):
    """canonfs trace in the background; it is gone afterwards."""
    process = subprocess.Popen([CANONFS, "trace", "--json", "-o", folder / "out", "--", *command],
                               stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def is_gone(pid):
    """Also if it only waits for somebody to ask how it ended."""
    return not os.path.exists(f"/proc/{pid}") or state_of(pid) == "Z"


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]


TICKER = """
import os, time
print(os.getpid(), flush=True)
while True:
    print("tick", flush=True)
    time.sleep(0.01)
"""


def test_stop_and_continue(system, folder):
    """A stopped command stays so; a traced one that was merely resumed would go on."""
    with started(folder, *system.command("-c", TICKER)) as process:
        pid = int(process.stdout.readline())
        process.stdout.readline()
        os.kill(pid, signal.SIGSTOP)
        assert wait_until(lambda: state_of(pid) in "tT")
        os.set_blocking(process.stdout.fileno(), False)
        while select.select([process.stdout], [], [], 0)[0]:
            process.stdout.read()
        assert not select.select([process.stdout], [], [], 0.3)[0]
        os.kill(pid, signal.SIGCONT)
        assert select.select([process.stdout], [], [], 10)[0]
        os.kill(pid, signal.SIGTERM)
        assert process.wait(timeout=10) == 128 + signal.SIGTERM


def test_signals_are_passed_on(system, folder):
    script = ("import os, signal, sys, time\n"
              "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
              "print('ready', flush=True)\ntime.sleep(60)")
    with started(folder, *system.command("-c", script)) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 9
        assert json.loads((folder / "out").read_text())["status"] == 9


def test_an_end_for_what_was_left_behind(folder):
    with started(folder, "sh", "-c", "sleep 600 & echo $!; exit 5", stderr=subprocess.PIPE) as process:
        pid = int(process.stdout.readline())
        assert "waiting for" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 5
        assert is_gone(pid)
        process.stderr.close()


def test_tracer_is_killed(system, folder):
    """Nothing runs on unwatched: it could not open a file."""
    script = "import os, time; print(os.getpid(), os.getppid(), flush=True); time.sleep(600)"
    with started(folder, "sh", "-c", '"$@" & wait', "sh", *system.command("-c", script)) as process:
        pids = process.stdout.readline().split()
        assert len(pids) == 2
        process.kill()
        gone = wait_until(lambda: all(is_gone(pid) for pid in pids))
        for pid in pids:
            if not gone and not is_gone(pid):
                os.kill(int(pid), signal.SIGKILL)
        assert gone


def test_terminal(system, folder):
    """The command has the terminal, and Ctrl-C is the command's."""
    script = ("import os, sys, time\nassert os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()\n"
              "try:\n    print('ready')\n    time.sleep(60)\n"
              "except KeyboardInterrupt:\n    print('interrupted')\n    sys.exit(6)")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(CANONFS, ["canonfs", "trace", "--", *system.command("-c", script)], ENVIRONMENT)
    seen = b""
    with os.fdopen(terminal, "rb+", buffering=0) as stream:
        with contextlib.suppress(OSError):  # the end of a terminal
            while True:
                assert select.select([stream], [], [], 20)[0], seen
                part = stream.read(4096)
                if not part:
                    break
                if b"ready" not in seen and b"ready" in seen + part:
                    stream.write(b"\x03")
                seen += part
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
    assert b"interrupted" in seen
    assert b"imports used bytecode" in seen


# ---- users, names, places ----

def test_ordinary_user(system, folder):
    tree = folder / "tree"
    folder.chmod(0o755)
    make_module(system, tree, "fresh")
    make_module(system, tree, "touched", embedded=THEN - 60)
    home = folder / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    program = folder / "canonfs"
    shutil.copy(CANONFS, program)
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "trace",
                           "--json", "-o", home / "out", "--",
                           *import_all(system, tree, "fresh", "touched")],
                          env={**ENVIRONMENT, "HOME": str(home)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = Report(done, (home / "out").read_text())
    assert report.hows("fresh", "touched") == {"fresh": "bytecode", "touched": "compiled"}
    assert report.of("touched")["reason"] == "newer"


def test_unreadable_bytecode(system, folder):
    """As an ordinary user, for whom it is as if there was none."""
    folder.chmod(0o755)
    source = make_module(system, folder / "tree", "secret")
    os.chmod(system.cached(str(source)), 0o600)
    report = trace(folder, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                   *import_all(system, folder / "tree", "secret"))
    assert report.of("secret")["how"] == "no-bytecode"
    assert report.of("secret")["why"] == "it may not be read"


def test_odd_names(system, folder):
    tree = folder / os.fsdecode(b"tr\xffee \"'\n")
    make_module(system, tree, "fresh")
    make_module(system, tree, "ümlaut", pyc=False)
    done = subprocess.run([os.fsencode(CANONFS), "trace", "--json", "-o", os.fsencode(folder / "out"), "--",
                           system.program.encode(), b"-B", b"-X", b"utf8", b"-c",
                           "import sys; sys.path.insert(0, sys.argv[1]); import fresh, ümlaut".encode(),
                           os.fsencode(tree)], env=ENVIRONMENT, capture_output=True)
    assert done.returncode == 0, done.stderr
    report = Report(done, (folder / "out").read_text())
    assert report.of("fresh")["source"] == str(tree / "fresh.py")
    assert report.hows("fresh", "ümlaut") == {"fresh": "bytecode", "ümlaut": "no-bytecode"}


def test_deleted_files(system, folder):
    """What is gone at the end is judged by what was seen of it."""
    make_module(system, folder / "tree", "touched", embedded=THEN - 60)
    make_module(system, folder / "tree", "fresh")
    report = trace(folder, "sh", "-c", '"$@"; rm -r tree', "sh",
                   *import_all(system, "tree", "fresh", "touched"))
    assert report.hows("fresh", "touched") == {"fresh": "bytecode", "touched": "compiled"}
    assert report.of("touched")["verdict"] is None
    assert report.of("touched")["why"] == "it was compiled from a source file with another time"


def test_relative_names(python, folder):
    """Python 2 gives the kernel names relative to the working directory."""
    make_module(python, folder / "tree", "fresh")
    make_module(python, folder / "tree", "touched", embedded=THEN - 60)
    report = trace(folder, *import_all(python, "", "fresh", "touched"), cwd=folder / "tree")
    assert report.hows("fresh", "touched") == {"fresh": "bytecode", "touched": "compiled"}
    assert report.of("touched")["source"] == str(folder / "tree/touched.py")


def test_symbolic_links(system, folder):
    """Python pairs by name: a link's source is beside the link."""
    tree = folder / "tree"
    make_module(system, tree, "linked")
    (tree / "linked.py").rename(folder / "elsewhere.py")
    (tree / "linked.py").symlink_to(folder / "elsewhere.py")
    os.utime(folder / "elsewhere.py", (THEN + 5, THEN + 5))
    report = trace(folder, *import_all(system, tree, "linked"))
    assert report.of("linked")["how"] == "compiled"
    assert report.of("linked")["reason"] == "newer"
    assert report.of("linked")["source"] == str(tree / "linked.py")


def test_another_mount_namespace(system, folder):
    """Its paths mean nothing here, and may be another file's."""
    tree = folder / "tree"
    make_module(system, tree, "fresh")
    hidden = folder / "hidden"
    make_module(system, hidden, "touched", embedded=THEN - 60)
    report = trace(folder, "unshare", "-m", "sh", "-c", f'mount --bind {hidden} {tree} && exec "$@"', "sh",
                   *import_all(system, tree, "touched"))
    assert report.of("touched")["how"] == "compiled"
    assert report.of("touched")["elsewhere"]
    assert report.of("touched")["verdict"] is None


@pytest.mark.parametrize("options", [["-I"], ["-E", "-S"], ["-O"], ["-X", "importtime"]])
def test_options_of_python(system, folder, options):
    tree = folder / "tree"
    make_module(system, tree, "fresh")
    command = [system.program, "-B", *options, "-c",
               f"import sys; sys.path.insert(0, {str(tree)!r}); import fresh"]
    assert trace(folder, *command).of("fresh")["how"] == ("no-bytecode" if "-O" in options else "bytecode")


WATCHED_32 = r"""
static int call(int number, const void *a, int b, int c)
{
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}
void _start(void)
{
	call(5, "/l/__pycache__/a.cpython-311.pyc", 0, 0);
	call(5, "SOURCE", 0, 0);
	call(1, (void *)7, 0, 0);
	__builtin_unreachable();
}
"""


def runs_32_bit(program):
    with contextlib.suppress(OSError):  # the kernel knows no such format
        return subprocess.run([program], check=False).returncode == 7
    return False


def test_32_bit(system, folder):
    """The filter knows both sets of system calls."""
    tree = folder / "tree"
    source = make_module(system, tree, "touched", embedded=THEN - 60)
    code = WATCHED_32.replace("/l/__pycache__/a.cpython-311.pyc", system.cached(str(source)))
    write(folder / "watched.c", code.replace("SOURCE", str(source)))
    program = folder / "python-of-32-bit"
    made = subprocess.run(["gcc", "-m32", "-O1", "-nostdlib", "-static", "-no-pie", "-fno-pie",
                           "-fno-stack-protector", folder / "watched.c", "-o", program],
                          capture_output=True, text=True)
    if made.returncode or not runs_32_bit(program):
        pytest.skip("no 32-bit programs here")
    report = trace(folder, program, status=7)
    assert report.of("touched")["how"] == "compiled"


# ---- for people ----

def test_summary(system, folder):
    tree = folder / "tree"
    names = [f"stale{i}" for i in range(7)]
    for name in names:
        make_module(system, tree, name, text="x = 1\n", mtime=0, embedded=THEN)
    make_module(system, tree, "absent", pyc=False)
    command = import_all(system, tree, "absent", *names)
    brief = run(CANONFS, "trace", "--", *command)
    assert brief.stdout == ""
    counts = re.match(r"canonfs: (\d+) of (\d+) imports used bytecode\n", brief.stderr)
    assert int(counts[2]) - int(counts[1]) == 8
    assert "     7  the source file's time was set back to a canonical one" in brief.stderr
    assert f"-> canonfs {tree} {tree}\n" in brief.stderr
    assert f"-> {os.path.realpath(system.program)} -m compileall -q {tree}\n" in brief.stderr
    assert "and 4 more" in brief.stderr
    assert brief.stderr.count("stale") == 3
    assert "no bytecode: there is none" in brief.stderr
    assert f"{tree}/absent.py" in brief.stderr
    full = run(CANONFS, "trace", "-v", "--", *command)
    assert full.stderr.count("stale") == 7
    written = run(CANONFS, "trace", "--output", folder / "out", "--", *command)
    assert written.stderr == ""
    assert (folder / "out").read_text() == brief.stderr


def test_no_python(folder):
    done = run(CANONFS, "trace", "--", "true")
    assert done.stderr == "canonfs: the command ran no Python that imports from files\n"
