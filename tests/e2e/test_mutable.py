# SPDX-License-Identifier: GPL-2.0-or-later
"""A source that changes under its mount: whoever imports more than a second later gets
what the tree holds now.

Every change is made to a module of its own, whose bytecode is in all caches by then: the
kernel's pages and names, canonfs's facts (which it remembers from two seconds after a
file's last change). So that one sees what Python believed, the bytecode says another
value than the source does.

All of it holds where the kernel tells of changes, and where they are asked for each second,
as over an overlay.

CANONFS_LONG=1  500 swaps under a running import instead of 50
"""
import contextlib
import errno
import json
import mmap
import os
import pathlib
import subprocess
import time

import pytest

from conftest import LONG, mounted, run, servers, wait_until
from control import status_of
from pythons import ENVIRONMENT, compiled, header, machine_pythons, write

SECOND = 10**9
REAL = 1_600_000_000
VIEWS = ("source", "0", str(REAL), "embedded")

# What sources and bytecode say: one digit, so all are of one size.
BEFORE, AFTER, CACHED, CACHED_ANEW = 1, 2, 7, 8

SETTLED_S = 2.2     # facts are remembered
EXPIRED_S = 1.3     # names and attributes are not believed any more


@pytest.fixture(params=["told", "asked"])
def changes(request):
    """How the server learns of them."""
    return request.param


@contextlib.contextmanager
def changing(tree, point, changes, options="", **more):
    """A mount of a tree that can change."""
    with mounted(tree, point, ",".join(filter(None, (options, "mutable"))), **more):
        assert status_of(point)["changes"] == changes
        yield


def new_tree(folder, changes):
    """A tree, and where it will be mounted."""
    tree, point = folder / "tree", folder / "point"
    for path in (tree, point):
        path.mkdir()
    if changes == "asked":
        lower, upper, work = (folder / name for name in ("lower", "upper", "work"))
        for path in (lower, upper, work):
            path.mkdir()
        run("mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}",
            "overlay", tree)
    return tree, point


def text(value):
    return f"value = {value}\n"


# Answers each line of names with their values, imported anew.
SERVE = r'''
import json, sys
sys.path.insert(0, sys.argv[1])
if sys.version_info >= (3, 4):
    import importlib
    renew, forget = importlib.reload, importlib.invalidate_caches
else:
    renew, forget = reload, lambda: None
def value_of(name):
    try:
        forget()
        module = sys.modules.get(name)
        return str((renew(module) if module else __import__(name, None, None, ["value"])).value)
    except Exception as error:
        return type(error).__name__
while True:
    line = sys.stdin.readline()
    if not line:
        break
    print(json.dumps(dict((name, value_of(name)) for name in json.loads(line))))
    sys.stdout.flush()
'''


class Server:
    """An interpreter that goes on running."""

    def __init__(self, python, folder):
        self.process = subprocess.Popen(python.command("-c", SERVE, folder), text=True, env=ENVIRONMENT,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def values(self, names):
        self.process.stdin.write(json.dumps(list(names)) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def values_in(python, folder, names):
    """The same from a process of its own."""
    server = Server(python, folder)
    try:
        return server.values(names)
    finally:
        server.end()


def one_of_each_kind():
    """One interpreter per header layout and implementation: more would tell nothing new."""
    kinds = {(python.header_size, python.is_pypy): python for python in machine_pythons()}
    return list(kinds.values())


# ---- the changes ----

class Module:
    """One module on disk, canonicalised: what it was compiled from was of time REAL."""

    def __init__(self, python, folder, name, bodies):
        self.python, self.folder, self.name, self.bodies = python, folder, name, bodies
        self.source = folder / f"{name}.py"
        self.pyc = pathlib.Path(python.cached(str(self.source)))

    def make(self):
        write(self.source, text(BEFORE), 0)
        write(self.pyc, self.bytecode(CACHED))

    def bytecode(self, value, mtime=REAL):
        return header(self.python, mtime, len(text(value))) + self.bodies[value]

    def replace(self, path, data, mtime_ns=None):
        """As package managers do: a new file takes the name."""
        write(path.with_name("new"), data, mtime_ns)
        os.replace(path.with_name("new"), path)


def edited(module):
    write(module.source, text(AFTER))


def edited_soon(module):
    write(module.source, text(AFTER), (REAL + 1) * SECOND)


def edited_without_seconds(module):
    write(module.source, text(AFTER), SECOND // 2)


def edited_by_rename(module):
    module.replace(module.source, text(AFTER))


def edited_by_rename_soon(module):
    module.replace(module.source, text(AFTER), (REAL + 1) * SECOND)


def downgraded(module):
    module.replace(module.source, text(AFTER), (REAL - 1000) * SECOND)


def grown_in_canonical_time(module):
    write(module.source, text(AFTER) + "# grown\n", 0)


def grown_by_rename_in_canonical_time(module):
    module.replace(module.source, text(AFTER) + "# grown\n", 0)


def touched(module):
    os.utime(module.source)


def pyc_deleted(module):
    module.pyc.unlink()


def pyc_damaged(module):
    write(module.pyc, module.bytecode(CACHED)[:-4])


def pyc_damaged_by_rename(module):
    module.replace(module.pyc, module.bytecode(CACHED)[:-4])


def pyc_of_edited(module):
    """As the edit, but bytecode of another stale state comes with it."""
    write(module.source, text(AFTER), (REAL + 1) * SECOND)
    module.replace(module.pyc, module.bytecode(CACHED_ANEW, REAL - 1))


def pyc_becomes_directory(module):
    module.pyc.unlink()
    module.pyc.mkdir()


def source_deleted(module):
    module.source.unlink()


def source_becomes_directory(module):
    module.source.unlink()
    module.source.mkdir()


def source_becomes_link(module):
    write(module.folder / "elsewhere" / module.name, text(AFTER), (REAL + 1) * SECOND)
    module.source.unlink()
    module.source.symlink_to(f"elsewhere/{module.name}")


def pyc_replaced(module):
    module.replace(module.pyc, module.bytecode(CACHED_ANEW))


def pyc_rewritten(module):
    write(module.pyc, module.bytecode(CACHED_ANEW))


def recompiled(module):
    write(module.source, text(AFTER), (REAL + 1) * SECOND)
    write(module.pyc, module.bytecode(CACHED_ANEW, REAL + 1))


def recompiled_by_rename(module):
    module.replace(module.source, text(AFTER), (REAL + 1) * SECOND)
    module.replace(module.pyc, module.bytecode(CACHED_ANEW, REAL + 1))


def canonicalised_anew(module):
    module.replace(module.source, text(AFTER), 0)
    module.replace(module.pyc, module.bytecode(CACHED_ANEW, REAL + 1))


def edited_in_canonical_time(module):
    """An edit that puts back the canonical time and keeps the size cannot be told from a
    canonicalised file: that is trust=canonical's bargain, written down here."""
    write(module.source, text(AFTER), 0)


LIKE_BARE = (edited, edited_soon, edited_without_seconds, edited_by_rename, edited_by_rename_soon,
             downgraded, grown_in_canonical_time, grown_by_rename_in_canonical_time, touched,
             pyc_deleted, pyc_damaged, pyc_damaged_by_rename, pyc_of_edited, pyc_becomes_directory,
             source_deleted, source_becomes_directory, source_becomes_link)
VOUCHED = {pyc_replaced: CACHED_ANEW, pyc_rewritten: CACHED_ANEW, recompiled: CACHED_ANEW,
           recompiled_by_rename: CACHED_ANEW, canonicalised_anew: CACHED_ANEW,
           edited_in_canonical_time: CACHED}
NO_SIZE = (grown_in_canonical_time, grown_by_rename_in_canonical_time)


def changes_for(python):
    """2.7's bytecode has no size, so an edit within the canonical time is as invisible."""
    return [change for change in (*LIKE_BARE, *VOUCHED)
            if python.header_size > 8 or change not in NO_SIZE]


class Stage:
    """A tree with the modules of one interpreter, its mount, and servers that run on: one
    in the mount, one in the bare tree."""

    def __init__(self, python, tree, point):
        self.python = python
        self.bare, self.shown = tree / python.name, point / python.name
        values = (BEFORE, AFTER, CACHED, CACHED_ANEW)
        self.bodies = dict(zip(values, compiled(python, [text(value) for value in values])))
        self.bare.mkdir()
        self.kept = []

    def module(self, name, folder=None):
        return Module(self.python, folder or self.bare, name, self.bodies)

    def start(self):
        self.server = Server(self.python, self.shown)
        self.bare_server = Server(self.python, self.bare)

    def keep_open(self, module):
        """A descriptor of the bytecode through the mount, its pages in the cache."""
        file = open(self.shown / module.pyc.relative_to(self.bare), "rb")
        file.read()
        self.kept.append(file)

    def end(self):
        self.server.end()
        self.bare_server.end()
        for file in self.kept:
            file.close()


@contextlib.contextmanager
def staged(folder, view, changes, prepare):
    """Stages for all kinds of interpreters, prepared, settled, mounted."""
    tree, point = new_tree(folder, changes)
    stages = [Stage(python, tree, point) for python in one_of_each_kind()]
    for stage in stages:
        prepare(stage)
    time.sleep(SETTLED_S)
    with changing(tree, point, changes, f"mtime={view}"):
        for stage in stages:
            stage.start()
        try:
            yield stages
        finally:
            for stage in stages:
                stage.end()


@pytest.mark.parametrize("view", VIEWS)
def test_changes_are_seen(view, changes, folder):
    def prepare(stage):
        stage.modules = {change: stage.module(change.__name__) for change in changes_for(stage.python)}
        for module in stage.modules.values():
            module.make()

    wrong = []
    with staged(folder, view, changes, prepare) as stages:
        for stage in stages:
            stage.names = [change.__name__ for change in stage.modules]
            for _ in range(2):
                assert set(values_in(stage.python, stage.shown, stage.names).values()) == {str(CACHED)}
            assert set(stage.server.values(stage.names).values()) == {str(CACHED)}
            assert set(stage.bare_server.values(stage.names).values()) == {str(BEFORE)}
            for module in stage.modules.values():
                stage.keep_open(module)
            for change, module in stage.modules.items():
                change(module)
        time.sleep(EXPIRED_S)
        for stage in stages:
            found = {"started later": (values_in(stage.python, stage.bare, stage.names),
                                       values_in(stage.python, stage.shown, stage.names)),
                     "running on": (stage.bare_server.values(stage.names),
                                    stage.server.values(stage.names))}
            for who, (bare, seen) in found.items():
                for change in stage.modules:
                    name = change.__name__
                    right = str(VOUCHED.get(change, bare[name]))
                    if seen[name] != right:
                        wrong.append(f"{stage.python} {name}, {who}: {seen[name]} instead of {right}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("view", VIEWS)
def test_changes_back_and_forth_are_seen(view, changes, folder):
    """Each state is found again, also after the caches learned the other one."""
    def prepare(stage):
        stage.one = stage.module("one")
        stage.one.make()

    def edit(module):
        module.replace(module.source, text(AFTER), (REAL + 1) * SECOND)

    def directory(module):
        module.source.unlink()
        module.source.mkdir()

    def back(module):
        if module.source.is_dir():
            module.source.rmdir()
        module.replace(module.source, text(BEFORE), 0)

    with staged(folder, view, changes, prepare) as stages:
        for change in (edit, back, directory, back, source_deleted, back, pyc_damaged, Module.make):
            for stage in stages:
                change(stage.one)
            time.sleep(SETTLED_S if change in (edit, back) else EXPIRED_S)
            for stage in stages:
                vouched = change in (back, Module.make)
                right = {"one": str(CACHED)} if vouched else values_in(stage.python, stage.bare, ["one"])
                for _ in range(2):
                    assert values_in(stage.python, stage.shown, ["one"]) == right, (change, stage.python)


@pytest.mark.parametrize("view", VIEWS)
def test_names_come_and_go(view, changes, folder):
    """New modules, although their absence is cached; a directory of another name."""
    def prepare(stage):
        write(stage.bare / "old" / "__init__.py", "", 0)
        stage.module("inner", stage.bare / "old").make()

    names = ("newcomer", "old.inner", "moved.inner")
    with staged(folder, view, changes, prepare) as stages:
        for stage in stages:
            absent = values_in(stage.python, stage.bare, ["newcomer"])["newcomer"]
            before = {"newcomer": absent, "old.inner": str(CACHED), "moved.inner": absent}
            assert values_in(stage.python, stage.shown, names) == before
            assert stage.server.values(names) == before
            stage.module("newcomer").make()
            (stage.bare / "old").rename(stage.bare / "moved")
        time.sleep(EXPIRED_S)
        for stage in stages:
            right = {"newcomer": str(CACHED), "moved.inner": str(CACHED)}
            absent = values_in(stage.python, stage.bare, ["old.inner"])["old.inner"]
            assert values_in(stage.python, stage.shown, names) == {**right, "old.inner": absent}
            # It has the old package still, as on the bare tree.
            assert stage.server.values(list(right)) == right


# ---- files that are open ----

def replaced(path, data):
    write(path.with_name("new"), data)
    os.replace(path.with_name("new"), path)


@pytest.fixture
def opened(changes, folder):
    """A tree with a large file and a sparse one."""
    tree, point = new_tree(folder, changes)
    write(tree / "large", os.urandom(3 << 20))
    with open(tree / "sparse", "wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    yield tree, point


def test_an_open_file_stays_what_it_is(opened, changes):
    """Read, compared, measured, mapped, searched for holes, all after another took its name."""
    tree, point = opened
    os.setxattr(tree / "large", "user.which", b"old")
    old = (tree / "large").read_bytes()
    stats = [(tree / name).stat() for name in ("large", "sparse")]
    with changing(tree, point, changes):
        with open(point / "large", "rb") as kept, open(point / "sparse", "rb") as sparse:
            before = os.fstat(kept.fileno())
            replaced(tree / "large", b"new")
            replaced(tree / "sparse", b"new")
            time.sleep(EXPIRED_S)
            assert kept.read() == old
            after = os.fstat(kept.fileno())
            assert (after.st_ino, after.st_size, after.st_mtime_ns) == \
                   (before.st_ino, before.st_size, before.st_mtime_ns)
            assert os.getxattr(kept.fileno(), "user.which") == b"old"
            with mmap.mmap(kept.fileno(), 0, prot=mmap.PROT_READ) as mapped:
                assert mapped[:] == old
            os.posix_fadvise(kept.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            assert os.pread(kept.fileno(), 100, 1 << 20) == old[1 << 20:][:100]
            assert os.lseek(sparse.fileno(), 0, os.SEEK_DATA) == 1 << 20
            assert (point / "large").read_bytes() == b"new"
            (tree / "large").unlink()
            time.sleep(EXPIRED_S)
            os.posix_fadvise(kept.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            kept.seek(0)
            assert kept.read() == old
            assert kept_by_servers(stats) == 2
        assert wait_until(lambda: kept_by_servers(stats) == 0)


def kept_by_servers(files):
    """How many descriptors of these files servers have."""
    wanted = {(st.st_dev, st.st_ino) for st in files}
    found = 0
    for pid in servers():
        for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                st = descriptor.stat()
                found += (st.st_dev, st.st_ino) in wanted
    return found


@pytest.mark.parametrize("view", VIEWS)
def test_open_bytecode_stays_what_it_is(view, changes, folder):
    """It has the header that was decided on for the file and the source that it was opened with."""
    def prepare(stage):
        stage.one, stage.two = stage.module("one"), stage.module("two")
        stage.one.make()
        stage.two.make()

    with staged(folder, view, changes, prepare) as stages:
        for stage in stages:
            shown = [stage.shown / module.pyc.relative_to(stage.bare)
                     for module in (stage.one, stage.two)]
            served = [path.read_bytes() for path in shown]
            with open(shown[0], "rb") as kept, open(shown[1], "rb") as unread:
                recompiled_by_rename(stage.one)
                recompiled_by_rename(stage.two)
                time.sleep(EXPIRED_S)
                os.posix_fadvise(kept.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                assert kept.read() == served[0], stage.python
                assert unread.read(7) + unread.read() == served[1], stage.python
            assert shown[0].read_bytes()[16:] == stage.one.pyc.read_bytes()[16:]


def test_more_open_files_than_descriptors(changes, folder):
    """The server keeps some of them, and opens the others by their names."""
    tree, point = new_tree(folder, changes)
    for number in range(200):
        write(tree / str(number), f"content {number}\n")
    with contextlib.ExitStack() as stack:
        stack.enter_context(changing(tree, point, changes, under=("prlimit", "--nofile=64:64")))
        files = [stack.enter_context(open(point / str(number))) for number in range(200)]
        assert kept_by_servers(path.stat() for path in tree.iterdir()) in range(1, 64)
        for number in range(200):
            assert files[number].read() == f"content {number}\n"
        replaced(tree / "0", "new")
        time.sleep(EXPIRED_S)
        os.posix_fadvise(files[0].fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        files[0].seek(0)
        assert files[0].read() == "content 0\n"
        assert (point / "0").read_text() == "new"


# ---- changes under a running import ----

# Imports one module again and again, and once more when a file says that all is done: prints
# when it began, when it ended, and the value.
LOOP = r'''
import importlib, os, sys, time
sys.path.insert(0, sys.argv[1])
done = False
while not done:
    done = os.path.exists(sys.argv[2])
    began = time.monotonic()
    try:
        sys.modules.pop("swapped", None)
        value = importlib.import_module("swapped").value
    except Exception as error:
        value = repr(error).replace(" ", "_")
    print(began, time.monotonic(), value)
'''
PAUSE_S = 0.05


@pytest.mark.parametrize("view", VIEWS)
def test_swapped_while_importing(view, changes, folder):
    """No import fails, and none gives a version that was replaced more than a second
    before it began."""
    python = machine_pythons()[0]
    tree, point = new_tree(folder, changes)
    count = 500 if LONG else 50
    texts = [f"value = {number:04}\n".replace("= 0", "= 1") for number in range(count)]
    bodies = compiled(python, texts)
    module = Module(python, tree, "swapped", {})
    swaps, replacements = [], []

    def replace(path, data, mtime_ns=None):
        began = time.monotonic()
        module.replace(path, data, mtime_ns)
        replacements.append((began, time.monotonic()))

    def swap(number):
        """A version, fresh as compileall leaves it; of each second one the bytecode is late."""
        began = time.monotonic()
        mtime = REAL + number
        replace(module.source, texts[number], mtime * SECOND)
        swaps.append((began, time.monotonic()))
        if number % 2:
            time.sleep(PAUSE_S)
        module.pyc.parent.mkdir(exist_ok=True)
        replace(module.pyc, header(python, mtime, len(texts[number])) + bodies[number])

    swap(0)
    with changing(tree, point, changes, f"mtime={view}"):
        with open(folder / "printed", "w") as printed, subprocess.Popen(
                python.command("-c", LOOP, point, folder / "done"), stdout=printed,
                env=ENVIRONMENT) as loop:
            try:
                for number in range(1, count):
                    time.sleep(PAUSE_S)
                    swap(number)
                time.sleep(EXPIRED_S)
            finally:
                (folder / "done").touch()
            assert loop.wait() == 0
    observed = [line.split() for line in (folder / "printed").read_text().splitlines()]
    wrong = []
    for began, ended, value in observed:
        # The kernel looks a replaced file up once more, and no more. Whoever replaces the next
        # one just then, before it is opened, is met twice.
        if value.startswith(f"OSError({errno.ESTALE},") and any(
                replaced_from <= float(ended) and replaced_to >= float(began)
                for replaced_from, replaced_to in replacements):
            continue
        allowed = [f"{number + (1000 if number < 1000 else 0)}"
                   for number, (swap_began, _) in enumerate(swaps)
                   if swap_began <= float(ended)
                   and (number + 1 == count or swaps[number + 1][1] >= float(began) - EXPIRED_S)]
        if value not in allowed:
            wrong.append(f"{value} instead of {allowed[0]} to {allowed[-1]}")
    print(len(observed), "imports under", count, "swaps")
    assert not wrong, f"{len(wrong)} of {len(observed)}: {wrong[:5]}"
    assert len(observed) > count
    assert observed[-1][2] == f"{count - 1 + 1000}"
