# SPDX-License-Identifier: GPL-2.0-or-later
"""Never worse than the source: bytecode that canonfs cannot vouch for does through the
mount what it does on the bare tree.

In most cases the source says one thing and its bytecode another, so that what an import
gives tells which of the two Python believed. Each interpreter imports all cases from the
bare tree and from the mount, in each view; then come the same cases at random.

CANONFS_LONG=1  100,000 random pairs for each interpreter instead of 1,000
CANONFS_SEED    a seed other than the fixed one
"""
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import random
import shutil
import struct
import tempfile

import pytest

from conftest import LONG, image, mounted
from pythons import WORKSHOPS, compiled, header, workshop, write

SECOND = 10**9
REAL = 1_600_000_000        # what bytecode embeds unless a case says otherwise
EXTRA = 777_600_000         # canonical only where an option says so
CANONICAL = (0, 1, 315532800, 315532801)
TOGETHER = (REAL - 5000) * SECOND   # what a tool set

SOURCE = 'value = "SRC"\n'
OTHER = 'value = "PYC"\n'   # what the bytecode was compiled from, of the same size
assert len(SOURCE) == len(OTHER)

# Prints what each module's value is, or what went wrong.
IMPORT = r'''
import json, sys
folder = sys.argv[1]
sys.path.insert(0, folder)
def load(name):
    if "." not in name:
        return __import__(name)
    import importlib.util
    spec = importlib.util.spec_from_file_location("dotted", folder + "/" + name + ".py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
found = {}
for name in json.loads(sys.stdin.read()):
    try:
        found[name] = str(getattr(load(name), "value", "no value"))
    except Exception as error:
        found[name] = type(error).__name__
print(json.dumps(found))
'''


# ---- the cases ----

@dataclasses.dataclass
class Case:
    """A source and its bytecode.

    vouched  the mount must make Python use the bytecode; None: it may
    needs    ... but only with this mount option
    mtime_ns, source: of the source; source None: there is none
    pyc_ns   mtime of the bytecode file; None: now
    mtime, size, flags, magic: of the header; size None: the source's, magic None: the right one
    spoil    makes the whole pyc another
    text     what the bytecode was compiled from
    since    the first version that the case is for
    dress    dress(folder, workshop, name, pyc) makes the files where they are special
    """
    vouched: bool = False
    needs: str = ""
    mtime_ns: int = 0
    pyc_ns: int = None
    source: str = SOURCE
    mtime: int = REAL
    size: int = None
    flags: int = 0
    magic: bytes = None
    spoil: object = None
    text: str = OTHER
    since: tuple = (2, 7)
    dress: object = None


def with_links(link):
    """The source is a link, made by link(folder, workshop, name)."""
    def dress(folder, shop, name, _pyc):
        (folder / f"{name}.py").unlink()
        link(folder, shop, name)
    return dress


def link_outside(relative, folder, shop, name, mtime_ns=0):
    target = shop.outside / folder.name / f"{name}.txt"
    write(target, SOURCE, mtime_ns)
    seen = "/" + str(target.relative_to(shop.root)) if shop.root else str(target)
    # From the mount point as from the tree, which lie side by side.
    (folder / f"{name}.py").symlink_to(os.path.relpath(target, folder) if relative else seen)


def link_inside(suffix, folder, _shop, name):
    write(folder / "real" / (name + suffix), SOURCE, 0)
    (folder / f"{name}.py").symlink_to("real/" + name + suffix)


def link_through_view(folder, shop, name):
    """An absolute link that leads into the mount only for those who see it there."""
    write(folder / "real" / f"{name}.py", SOURCE, 0)
    view = shop.point / folder.name / "real" / f"{name}.py"
    (folder / f"{name}.py").symlink_to("/" + str(view.relative_to(shop.root)) if shop.root else view)


def make_directory(folder, _shop, name, _pyc):
    (folder / f"{name}.py").unlink()
    (folder / f"{name}.py").mkdir()


def pyc_link(folder, _shop, name, pyc):
    """The bytecode is a link to a file that has another name."""
    store = folder / "store" / f"{name}.pyc"
    store.parent.mkdir(exist_ok=True)
    pyc.rename(store)
    pyc.symlink_to(os.path.relpath(store, pyc.parent))


def cache_link(folder, _shop, name, pyc):
    """A package whose __pycache__ is a link to a folder of another name."""
    package = folder / name
    package.mkdir()
    (folder / f"{name}.py").rename(package / "__init__.py")
    write(folder / "caches" / name / pyc.name.replace(name, "__init__"), pyc.read_bytes())
    pyc.unlink()
    (package / "__pycache__").symlink_to(f"../caches/{name}")


def sourceless(folder, _shop, name, pyc):
    pyc.rename(folder / f"{name}.pyc")


def beside(folder, shop, name, pyc):
    sourceless(folder, shop, name, pyc)


def hard_linked_pyc(folder, _shop, name, pyc):
    """The same bytecode is also that of an edited source."""
    write(folder / f"{name}_edited.py", SOURCE, (REAL + 99) * SECOND)
    os.link(pyc, pyc.with_name(pyc.name.replace(name, f"{name}_edited")))


def hard_linked_source(folder, _shop, name, pyc):
    """One source file of two names, whose bytecodes embed different times."""
    os.link(folder / f"{name}.py", folder / f"{name}_twin.py")
    data = bytearray(pyc.read_bytes())
    at = data.index(struct.pack("<I", REAL))
    data[at:at + 4] = struct.pack("<I", REAL + 5)
    write(pyc.with_name(pyc.name.replace(name, f"{name}_twin")), bytes(data))


def good_level_beside(folder, _shop, name, pyc):
    """Damaged bytecode that embeds the same time as the good one of other levels."""
    data = pyc.read_bytes()
    for level in (1, 2):
        write(pyc.with_name(pyc.name.replace(".pyc", f".opt-{level}.pyc")), data)
    pyc.write_bytes(data[:-3])


def damaged_link_beside(folder, shop, name, pyc):
    good_level_beside(folder, shop, name, pyc)
    pyc_link(folder, shop, name, pyc)


def other_level_wins(folder, _shop, name, pyc):
    """Levels of different times: the majority is not this one."""
    data = bytearray(pyc.read_bytes())
    at = data.index(struct.pack("<I", REAL))
    data[at:at + 4] = struct.pack("<I", REAL + 5)
    for level in (1, 2):
        write(pyc.with_name(pyc.name.replace(".pyc", f".opt-{level}.pyc")), bytes(data))


def under_other_name(change):
    def dress(_folder, _shop, _name, pyc):
        pyc.rename(pyc.with_name(change(pyc.name)))
    return dress


def odd_directory_time(folder, _shop, name, pyc):
    package = folder / name
    package.mkdir()
    (folder / f"{name}.py").rename(package / "__init__.py")
    os.utime(package, (-1, -1))
    pyc.unlink()


def cut(where):
    """Ends the file at a fraction of its body, or that many bytes before its end."""
    def spoil(data, python):
        body = len(data) - python.header_size
        return data[:python.header_size + int(body * where)] if where >= 0 else data[:int(where)]
    return spoil


def hash_header(right):
    def spoil(data, python):
        return data[:8] + (source_hash(python) if right else b"otherone") + data[16:]
    return spoil


@functools.lru_cache(None)
def source_hash(python):
    script = "import importlib.util, sys; print(importlib.util.source_hash(sys.argv[1].encode()).hex())"
    return bytes.fromhex(python.run(script, SOURCE).stdout)


def fixed_cases():
    """Every case by its name, which is the module's."""
    cases = {
        "fresh": Case(vouched=True, mtime_ns=REAL * SECOND),
        "fresh_flags_2": Case(vouched=True, mtime_ns=REAL * SECOND, flags=2, since=(3, 7)),
        "fresh_cut": Case(mtime_ns=REAL * SECOND, spoil=cut(0.5)),
        "fresh_header_only": Case(mtime_ns=REAL * SECOND, spoil=cut(0.0)),
        "edited": Case(mtime_ns=(REAL + 100) * SECOND),
        "edited_at_once": Case(mtime_ns=REAL * SECOND + 700_000_000, mtime=REAL - 1),
        "edited_long_ago": Case(mtime_ns=(REAL + 1) * SECOND),
        "downgraded": Case(mtime_ns=(REAL - 12345) * SECOND),
        "downgraded_odd": Case(mtime_ns=(REAL - 12345) * SECOND + 1),
        "almost_canonical": Case(mtime_ns=1),
        "half_second": Case(mtime_ns=SECOND // 2),
        "size_less": Case(size=len(SOURCE) - 1, since=(3, 3)),
        "size_more": Case(size=len(SOURCE) + 1, since=(3, 3)),
        "size_zero": Case(size=0, since=(3, 3)),
        "no_size_recorded": Case(vouched=None, source=SOURCE + "\n"),
        "garbage": Case(spoil=lambda data, python: data[:python.header_size] + b"\xfa" * 50),
        "zeroes": Case(spoil=lambda data, python: data[:python.header_size] + b"\0" * 50),
        "not_code": Case(spoil=lambda data, python: data[:python.header_size] + b"N"),
        "trailing": Case(vouched=None, spoil=lambda data, python: data + b"garbage"),
        "twice": Case(vouched=None, spoil=lambda data, python: data + data[python.header_size:]),
        "unchecked_hash": Case(vouched=True, flags=1, spoil=hash_header(True), since=(3, 7)),
        "unchecked_hash_wrong": Case(vouched=True, flags=1, spoil=hash_header(False), since=(3, 7)),
        "checked_hash": Case(vouched=True, flags=3, spoil=hash_header(True), since=(3, 7)),
        "checked_hash_wrong": Case(flags=3, spoil=hash_header(False), since=(3, 7)),
        "checked_hash_cut": Case(flags=3, spoil=lambda data, python: hash_header(True)(data, python)[:-9],
                                 since=(3, 7)),
        "flags_2": Case(vouched=True, flags=2, since=(3, 7)),
        "flags_4": Case(flags=4, since=(3, 7)),
        "flags_7": Case(flags=7, since=(3, 7)),
        "flags_all": Case(flags=0xffffffff, since=(3, 7)),
        "magic_other": Case(magic=struct.pack("<H", 3400) + b"\r\n"),
        "magic_unknown": Case(magic=struct.pack("<H", 3999) + b"\r\n"),
        "magic_text": Case(magic=struct.pack("<H", 3413) + b"\n\n"),
        "empty": Case(vouched=True, source="", mtime_ns=(REAL + 500) * SECOND, since=(3, 3)),
        "empty_earlier": Case(vouched=True, source="", mtime_ns=5 * SECOND + 5, since=(3, 3)),
        "empty_by_edit": Case(source="", size=len(SOURCE), since=(3, 3)),
        "empty_canonical": Case(vouched=True, source=""),
        "filled_by_edit": Case(size=0, mtime_ns=(REAL + 9) * SECOND, since=(3, 3)),
        "embedded_later": Case(vouched=True, mtime=2**31 + 5, since=(3, 3)),
        "embedded_latest": Case(vouched=True, mtime=2**32 - 1, since=(3, 3)),
        "embedded_0": Case(vouched=True, mtime=0),
        "canonical_later": Case(needs="trust=size", vouched=True, mtime=1000, mtime_ns=315532800 * SECOND,
                                since=(3, 3)),
        "canonical_twice": Case(vouched=True, mtime=0, mtime_ns=SECOND, since=(3, 3)),
        "canonical_twice_far": Case(vouched=True, mtime=1, mtime_ns=315532801 * SECOND, since=(3, 3)),
        "canonical_twice_no_size": Case(vouched=None, mtime=0, mtime_ns=SECOND),
        "set_together": Case(needs="immutable", vouched=True, mtime_ns=TOGETHER, pyc_ns=TOGETHER, since=(3, 3)),
        "set_together_no_size": Case(vouched=None, mtime_ns=TOGETHER, pyc_ns=TOGETHER),
        "set_together_later": Case(mtime_ns=(REAL + 100) * SECOND, pyc_ns=(REAL + 100) * SECOND),
        "set_together_oddly": Case(mtime_ns=TOGETHER + 1, pyc_ns=TOGETHER + 1),
        "set_together_and_edited": Case(mtime_ns=TOGETHER, pyc_ns=TOGETHER, size=len(SOURCE) - 1, since=(3, 3)),
        "set_apart": Case(mtime_ns=TOGETHER, pyc_ns=TOGETHER - SECOND),
        "set_together_outside": Case(pyc_ns=TOGETHER, dress=with_links(functools.partial(
            link_outside, False, mtime_ns=TOGETHER))),
        "rolled_back": Case(mtime_ns=TOGETHER, pyc_ns=(REAL + 60) * SECOND),
        "edited_after_0": Case(mtime=0, mtime_ns=5 * SECOND),
        "edited_after_1970": Case(mtime=1000, mtime_ns=5000 * SECOND),
        "option": Case(needs=f"canonical={EXTRA}", vouched=True, mtime_ns=EXTRA * SECOND),
        "rounded_up": Case(vouched=None, mtime=REAL + 1, mtime_ns=REAL * SECOND + 999_999_900),
        "not_rounded_down": Case(mtime=REAL, mtime_ns=REAL * SECOND + 999_999_900, since=(3, 3)),
        "dot.ted": Case(vouched=True, since=(3, 4)),
        "dot.ted.edited": Case(mtime_ns=(REAL + 2) * SECOND, since=(3, 4)),
        "orphan": Case(source=None),
        "sourceless": Case(vouched=True, source=None, dress=sourceless),
        "sourceless_cut": Case(source=None, dress=sourceless, spoil=cut(0.7)),
        "sourceless_flags": Case(source=None, flags=4, dress=sourceless, since=(3, 7)),
        "sourceless_short": Case(source=None, dress=sourceless, spoil=lambda data, python: data[:7]),
        "shadowed": Case(dress=beside, since=(3, 3)),
        "shadowed_fresh": Case(mtime_ns=REAL * SECOND, dress=beside, since=(3, 3)),
        "source_directory": Case(dress=make_directory),
        "link_outside": Case(vouched=True, dress=with_links(functools.partial(link_outside, False))),
        "link_outside_relative": Case(vouched=True, dress=with_links(functools.partial(link_outside, True))),
        "link_outside_edited": Case(dress=with_links(functools.partial(
            link_outside, False, mtime_ns=(REAL + 3) * SECOND))),
        "link_outside_fresh": Case(vouched=True, dress=with_links(functools.partial(
            link_outside, False, mtime_ns=REAL * SECOND))),
        "link_through_view": Case(vouched=True, dress=with_links(link_through_view), since=(3, 3)),
        "link_inside": Case(vouched=True, dress=with_links(functools.partial(link_inside, ".py"))),
        "link_to_text": Case(vouched=True, dress=with_links(functools.partial(link_inside, ".txt"))),
        "link_dangling": Case(dress=with_links(
            lambda folder, shop, name: (folder / f"{name}.py").symlink_to("nothing"))),
        "link_loop": Case(dress=with_links(
            lambda folder, shop, name: (folder / f"{name}.py").symlink_to(f"{name}.py"))),
        "pyc_link": Case(vouched=None, dress=pyc_link),
        "pyc_link_edited": Case(mtime_ns=(REAL + 4) * SECOND, dress=pyc_link),
        "cache_link": Case(vouched=None, dress=cache_link, since=(3, 3)),
        "cache_link_edited": Case(mtime_ns=(REAL + 4) * SECOND, dress=cache_link, since=(3, 3)),
        "hard_pyc": Case(vouched=True, dress=hard_linked_pyc),
        "hard_pyc_edited": None,
        "hard_source": Case(vouched=True, dress=hard_linked_source),
        "hard_source_twin": None,
        "damaged_among_good": Case(dress=good_level_beside, since=(3, 5)),
        "damaged_link_among_good": Case(dress=damaged_link_beside, since=(3, 5)),
        "outvoted": Case(vouched=True, dress=other_level_wins, since=(3, 5)),
        "other_tag": Case(dress=under_other_name(lambda name: name.replace(".pyc", "x.pyc")), since=(3, 3)),
        "pytest_tag": Case(dress=under_other_name(lambda name: name.replace(".pyc", "-pytest-7.2.1.pyc")),
                           since=(3, 3)),
        "directory_time": Case(dress=odd_directory_time, since=(3, 3)),
    }
    # These are made by the case before them.
    cases["hard_pyc_edited"] = Case()
    cases["hard_source_twin"] = Case(vouched=True)
    for time in CANONICAL:
        cases[f"canonical_{time}"] = Case(vouched=True, mtime_ns=time * SECOND)
    for where in (0.0, 0.03, 0.3, 0.6, 0.9, -1.0):
        cases[f"cut_at_{where}".replace(".", "_").replace("-", "last")] = Case(spoil=cut(where))
    for size in (0, 1, 3, 4, 7, 8, 11, 12, 15):
        cases[f"short_{size}"] = Case(spoil=lambda data, python, size=size: data[:size])
        cases[f"short_{size}_fresh"] = Case(mtime_ns=REAL * SECOND,
                                            spoil=lambda data, python, size=size: data[:size])
    for time in (-1, -10**9, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**33, 2**33 + 5):
        name = f"time_{time}".replace("-", "minus_")
        cases[name] = Case(mtime_ns=time * SECOND)
        cases[name + "_matching"] = Case(vouched=None, mtime_ns=time * SECOND, mtime=time)
    return cases


# Bytecode that Python finds through a link. The mount sees the file at the link's end only,
# which has another name and no source there.
BEHIND_LINKS = ("pyc_link", "pyc_link_edited", "cache_link", "cache_link_edited",
                "damaged_link_among_good")
ADDED = {"hard_pyc_edited": "hard_pyc", "hard_source_twin": "hard_source"}
CASES = fixed_cases()


def cases_of(python):
    return {name: case for name, case in CASES.items()
            if python.version >= CASES[ADDED.get(name, name)].since}


def make_case(shop, python, bodies, name, case):
    folder = shop.tree / python.name
    source = folder / f"{name}.py"
    if case.source is not None:
        write(source, case.source, case.mtime_ns)
    size = len(case.source or SOURCE) if case.size is None else case.size
    if case.source == "" and case.size is None:
        size = 0
    data = header(python, case.mtime, size, case.flags, case.magic) + bodies[case.text]
    pyc = pathlib.Path(python.cached(str(source)))
    write(pyc, case.spoil(data, python) if case.spoil else data, case.pyc_ns)
    if case.dress:
        case.dress(folder, shop, name, pyc)


def observe(python, folder, names):
    return python.json(IMPORT, python.seen(folder), stdin=json.dumps(list(names)))


# ---- the trees ----

@pytest.fixture(scope="module", params=WORKSHOPS)
def shop(request):
    """All cases of all interpreters, and what each interpreter makes of them bare."""
    newer = image("newer") if request.param == "newer" else None
    folder = pathlib.Path(tempfile.mkdtemp(prefix="canonfs-test-"))
    try:
        with workshop(request.param, folder, newer) as place:
            place.bare = {}
            for python in place.pythons:
                bodies = {OTHER: compiled(python, [OTHER])[0]}
                for name, case in cases_of(python).items():
                    if name not in ADDED:
                        make_case(place, python, bodies, name, case)
                place.bare[python] = observe(python, place.tree / python.name, cases_of(python))
            yield place
    finally:
        shutil.rmtree(folder)


def digest(path, skip=()):
    """The file's content but for a range of bytes."""
    data = path.read_bytes()
    if skip:
        data = data[:skip[0]] + b"-" * len(data[skip[0]:skip[1]]) + data[skip[1]:]
    return hashlib.sha256(data).hexdigest()


def changed_files(shop, python):
    """Files that the mount shows with other bytes than a header's time (for a hash pyc, its
    flags)."""
    end = 8 if python.header_size == 8 else python.header_size - 4
    skip = (4, 8) if python.header_size < 16 else (end - 4, end)
    wrong = []
    for disk in (shop.tree / python.name).rglob("*"):
        shown = shop.point / disk.relative_to(shop.tree)
        if disk.is_symlink() or not disk.is_file():
            continue
        hashed = python.header_size == 16 and disk.suffix == ".pyc" and disk.read_bytes()[4:5] in b"\3"
        part = () if disk.suffix == ".py" else (4, 8) if hashed else skip
        if digest(disk, part) != digest(shown, part):
            wrong.append(str(disk.relative_to(shop.tree)))
    return wrong


def judge(case, bare, seen, words):
    """Why an outcome through the mount is wrong, or nothing."""
    forgiving = case.needs in words.split(",") or not case.needs
    if "trust=verified" in words:
        forgiving = bare == "PYC"
    if case.vouched and forgiving:
        return "" if seen == "PYC" else "not vouched for"
    if seen == bare:
        return ""
    # Better than the source: damaged bytecode with a matching time is not served so.
    if seen == "SRC" and bare not in ("SRC", "PYC", "no value"):
        return ""
    if case.vouched is None and seen == "PYC" and "trust=verified" not in words:
        return ""
    return "worse than the source" if seen != "SRC" else "not vouched for, though fresh"


def wrong_outcomes(shop, words, behind_links=False):
    wrong = {}
    for python in shop.pythons:
        seen = observe(python, shop.point / python.name, cases_of(python))
        for name, case in cases_of(python).items():
            if (name in BEHIND_LINKS) != behind_links:
                continue
            bare = shop.bare[python][name]
            why = judge(case, bare, seen[name], words)
            if why:
                wrong[f"{python} {name}"] = f"{why}: bare {bare}, mounted {seen[name]}"
        for path in changed_files(shop, python):
            wrong[path] = "bytes changed"
    return wrong


VIEWS = ("mtime=source", f"mtime={REAL}", "mtime=1", "mtime=embedded")
POLICIES = (f"canonical={EXTRA}", "trust=size", "trust=verified", "hash=unchecked")


def test_bare_tree_is_what_the_cases_say(shop):
    """What may not be vouched for is not used on the bare tree either, so that the tests
    below can tell the difference; what must be is mostly stale there."""
    for python, bare in shop.bare.items():
        print(python, len(bare), "cases")
        assert len(bare) > 40
        stale = [name for name, case in cases_of(python).items() if case.vouched and bare[name] != "PYC"]
        assert len(stale) >= 10
        assert bare["edited"] == bare["downgraded"] == bare["canonical_0"] == "SRC"
        assert bare["fresh"] == bare["sourceless"] == "PYC"


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("mutability", ("immutable", "mutable"))
@pytest.mark.parametrize("view", VIEWS)
def test_never_worse_than_the_source(shop, view, mutability):
    with mounted(shop.tree, shop.point, shop.options(view, mutability)):
        wrong = wrong_outcomes(shop, f"{view},{mutability}")
    assert not wrong, "\n".join(f"{where}: {why}" for where, why in wrong.items())


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("view", VIEWS)
def test_bytecode_behind_links(shop, view):
    """No time that a view makes up may match it by accident."""
    with mounted(shop.tree, shop.point, shop.options(view, "immutable")):
        wrong = wrong_outcomes(shop, view, behind_links=True)
    assert not wrong, "\n".join(f"{where}: {why}" for where, why in wrong.items())


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("view", VIEWS)
def test_policies(shop, view, policy):
    with mounted(shop.tree, shop.point, shop.options(view, policy, "immutable")):
        wrong = wrong_outcomes(shop, f"{policy},immutable")
    assert not wrong, "\n".join(f"{where}: {why}" for where, why in wrong.items())


# ---- at random ----

# Prints what each module's code is, "SRC" or another, without executing it where possible:
# damaged code may do anything. Before each it tells the name, should the process die.
GET_CODE = r'''
import json, sys
folder = sys.argv[1]
empty = compile("", "", "exec")
def code_of(name):
    if sys.version_info < (3,):
        sys.path[0] = folder
        return getattr(__import__(name), "value", "SRC")
    import importlib.machinery
    code = importlib.machinery.SourceFileLoader(name, folder + "/" + name + ".py").get_code(name)
    return "SRC" if code == empty or "SRC" in code.co_consts else "PYC" if "PYC" in code.co_consts else "odd"
for name in json.loads(sys.stdin.read()):
    print(name)
    sys.stdout.flush()
    try:
        print(str(code_of(name)))
    except Exception as error:
        print(type(error).__name__)
print("done")
'''


@dataclasses.dataclass
class Pair:
    """A random source and pyc, and what the rules say of them."""
    mtime_ns: int
    pyc_ns: int
    source: str
    data: bytes
    may: bool        # be vouched for, although stale
    must: bool
    intact: bool     # the body is a compiler's


def random_time(rng):
    """Nanoseconds of a source's mtime."""
    seconds = rng.choice([rng.choice(CANONICAL), 0, 1, REAL, REAL + rng.randint(-3, 3),
                          rng.randint(-2**31, 2**33), rng.choice([2**31, 2**32, -1])])
    return seconds * SECOND + rng.choice([0, 0, 0, 1, 5 * SECOND // 10, 999_999_900, rng.randrange(SECOND)])


def python_seconds(mtime_ns):
    """int(st_mtime): through a double."""
    return int(mtime_ns // SECOND + 1e-9 * (mtime_ns % SECOND))


def random_body(rng, body, may_flip):
    kind = rng.choice(["intact"] * 6 + ["cut", "flip", "append"])
    if kind == "cut":
        return body[:rng.randrange(len(body))]
    if kind == "append" and may_flip:
        return body + rng.randbytes(rng.randint(1, 40))
    if kind == "flip" and may_flip:
        data = bytearray(body)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)
    return body


def random_pair(rng, python, body):
    has_size, has_flags = python.header_size >= 12, python.header_size == 16
    source = SOURCE if rng.random() < 0.95 else ""
    mtime_ns = random_time(rng)
    seconds = python_seconds(mtime_ns)
    mtime = rng.choice([REAL, REAL, seconds, seconds + rng.choice([1, -1]), rng.randrange(2**32), 0]) % 2**32
    size = rng.choice([len(source)] * 8 + [len(source) + 1, rng.randrange(50), 0]) if has_size else None
    flags = rng.choice([0] * 8 + [1, 2, 3, 4, rng.randrange(2**32)]) if has_flags else 0
    magic = python.magic if rng.random() < 0.95 else rng.choice(
        [rng.randbytes(4), rng.randbytes(2) + b"\r\n", python.magic[:2] + b"\0\0"])
    found = random_body(rng, body, may_flip=python.version[0] > 2)
    data = header(python, mtime, size or 0, flags, magic) + found
    if rng.random() < 0.05:
        data = data[:rng.randrange(len(data))]
    whole = data[python.header_size:] == body
    canonical = mtime_ns % SECOND == 0 and mtime_ns // SECOND in CANONICAL
    pyc_ns = mtime_ns if rng.random() < 0.4 else random_time(rng)
    together = has_size and mtime_ns % SECOND == 0 and pyc_ns == mtime_ns and seconds < mtime
    forgiven = (together or canonical and (seconds < mtime or has_size and mtime in CANONICAL)
                or has_size and source == "")
    # Before 3.7 no word matches some times: then a source is compiled as ever.
    matchable = has_flags or 0 <= seconds < 2**31 and mtime < 2**31
    may = magic == python.magic and flags in (0, 2) and (size is None or size == len(source)) and forgiven
    return Pair(mtime_ns, pyc_ns, source, data, may, may and whole and matchable, whole)


def observe_random(python, folder, names):
    found = {}
    while names:
        done = python.run(GET_CODE, python.seen(folder), stdin=json.dumps(names))
        lines = done.stdout.split("\n")
        found.update(zip(lines[0::2], lines[1::2]))
        if lines[-2:] == ["done", ""]:
            found.pop("done")
            break
        # It died of damaged code, for which loading promises nothing.
        found[names[names.index(lines[-2])]] = "died"
        names = names[names.index(lines[-2]) + 1:]
    return found


def judge_random(pair, bare, seen):
    """Why an outcome through the mount is wrong, or nothing."""
    if pair.must and seen not in ("PYC", "odd"):
        return "not vouched for"
    if seen == bare:
        return ""
    if pair.may and bare == "SRC" and seen in ("PYC", "odd"):
        return ""
    # Damaged code under a time that matched on disk; or not damaged enough to fail.
    if seen == "SRC" and not pair.intact:
        return ""
    return "stale bytecode was used" if seen in ("PYC", "odd") else "worse than the source"


def check_random(place, python, seed, count, view):
    rng = random.Random(f"{seed} {python} {view}")
    body = compiled(python, [OTHER])[0]
    pairs = {f"r{number}": random_pair(rng, python, body) for number in range(count)}
    for name, pair in pairs.items():
        source = place.tree / python.name / f"{name}.py"
        write(source, pair.source, pair.mtime_ns)
        write(python.cached(str(source)), pair.data, pair.pyc_ns)
    bare = observe_random(python, place.tree / python.name, list(pairs))
    wrong = []
    for stack in ("stack=off", "stack=on"):
        with mounted(place.tree, place.point, place.options(view, "immutable", stack)):
            seen = observe_random(python, place.point / python.name, list(pairs))
            wrong += [f"{stack} {path}: bytes changed" for path in changed_files(place, python)]
        for name, pair in pairs.items():
            why = judge_random(pair, bare[name], seen[name])
            if why:
                wrong.append(f"{python} {view} {stack} {name}: {why}: bare {bare[name]}, "
                             f"mounted {seen[name]}, {pair}")
    shutil.rmtree(place.tree / python.name)
    return sum(pair.must for pair in pairs.values()), wrong


@pytest.mark.parametrize("group", WORKSHOPS)
def test_random_pairs(group, folder):
    """Over both fronts: what is made, and seen without a mount, is the same."""
    seed = os.environ.get("CANONFS_SEED", "20240229")
    rounds = 100 if LONG else 1
    print("seed", seed)
    newer = image("newer") if group == "newer" else None
    vouched, wrong = 0, []
    with workshop(group, folder, newer) as place:
        for python in place.pythons:
            for number in range(rounds):
                for view in VIEWS:
                    count, found = check_random(place, python, f"{seed} {number}", 1000 // len(VIEWS), view)
                    vouched += count
                    wrong += found
    print(vouched, "must be vouched for")
    assert not wrong, "\n".join(wrong)
    assert vouched > 100
