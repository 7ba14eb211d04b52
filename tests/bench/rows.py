# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the comparison: each is one way to see the same tree.

A row reads the tree with the packages' own times (fresh) or as ostree makes it (stale). It
is shown read-only as the root of a chroot, with what the row mounts over its /usr. Peers
that know nothing of bytecode show the fresh tree: what a mount costs, not what a stale tree
does. They get the options that make them fastest on a tree that never changes.
"""
import contextlib
import dataclasses
import pathlib
import shutil

import harness
from harness import Failed

FRESH, STALE = "fresh", "stale"
BASELINE = "bare-fresh"
FOREVER_S = 86400


@dataclasses.dataclass(frozen=True)
class Stage:
    """Where the rows are mounted.

    folder    of this run; rows have their places in it
    images    {name of a tree: {FRESH: path, STALE: path}}
    programs  {name: path} of what was found on this machine
    """
    folder: pathlib.Path
    images: dict
    programs: dict


@dataclasses.dataclass(frozen=True)
class View:
    """A tree as a row shows it.

    root         for chroot(2); what was mounted lies over root/usr
    environment  of the programs that run in it
    mount        harness.Mount, None where nothing was mounted
    """
    root: pathlib.Path
    environment: dict
    mount: harness.Mount | None

    @property
    def usr(self):
        return self.root / "usr"

    @property
    def pids(self):
        return self.mount.pids if self.mount else frozenset()


class Row:
    """The bare tree, and what the other rows have in common with it."""
    program = None  # what the row needs, by name

    def __init__(self, name, title, age, variants=("",)):
        self.name, self.title, self.age = name, title, age
        self.variants = list(variants)

    def shows(self, column):
        """Can this row differ from the bare trees in this column?"""
        del column
        return True

    def command(self, stage, source, usr, root, variant):
        """What mounts source at usr; None: nothing is mounted. The variants are mount
        options that not every release of a program takes, the best ones first."""
        del stage, source, usr, root, variant

    def unmount(self, stage):
        del stage
        return ["umount", "-l"]

    def before(self, view, column):
        """What each measurement finds done; not part of it."""

    @contextlib.contextmanager
    def tree_bound(self, stage, tree):
        root = stage.folder / f"{self.name}-{tree}"
        root.mkdir(exist_ok=True)
        with harness.bound_read_only(stage.images[tree][self.age], root):
            yield root

    @contextlib.contextmanager
    def shown(self, stage, tree):
        """Gives the View."""
        with self.tree_bound(stage, tree) as root:
            source = stage.images[tree][self.age] / "usr"
            command = self.command(stage, source, root / "usr", root, self.variants[0])
            if not command:
                yield View(root, harness.ENVIRONMENT, None)
                return
            with harness.served(command, root / "usr", self.unmount(stage)) as mount:
                yield View(root, harness.ENVIRONMENT, mount)

    def probe(self, stage, tree):
        """Mounts once, and settles for the first of its variants that mounts: the type of
        the mount's file system. Failed, with the first one's reason, if none does here."""
        if self.program and self.program not in stage.programs:
            raise Failed(f"{self.program} is not installed")
        refused = None
        while self.variants:
            try:
                with self.shown(stage, tree) as view:
                    return harness.type_of_mount(view.usr)
            except Failed as failure:
                refused = refused or failure
                self.variants.pop(0)
        raise refused

    def how(self, stage):
        """The command that mounts, as a person would write it."""
        command = self.command(stage, "SOURCE", "MOUNTPOINT", "ROOT", self.variants[0])
        if not command:
            return None
        program, *words = command
        text = " ".join([pathlib.Path(program).name, *words])
        return text.replace(f"{stage.folder}/", "")


def joined(*options):
    return ",".join(filter(None, options))


class Canonfs(Row):
    """Over the stale tree itself, as on an ostree host."""
    program = "canonfs"

    def __init__(self, name, title, variants):
        super().__init__(name, title, STALE, variants)

    def command(self, stage, source, usr, root, variant):
        return [stage.programs["canonfs"], usr, usr, "-o",
                joined(f"root={root}", variant)]

    def unmount(self, stage):
        return [stage.programs["canonfs"], "umount"]


class Peer(Row):
    """words(source, usr, variant) are what the program is called with."""

    def __init__(self, program, title, words, variants=("",)):
        super().__init__(program, title, FRESH, variants)
        self.program, self.words = program, words

    def command(self, stage, source, usr, root, variant):
        return [stage.programs[self.program], *self.words(source, usr, variant)]


class Overlay(Row):
    """The kernel's overlayfs with two lower directories, one of them empty."""
    program = "mount"

    def command(self, stage, source, usr, root, variant):
        empty = stage.folder / "empty"
        empty.mkdir(exist_ok=True)
        return [stage.programs["mount"], "-t", "overlay", "-o",
                f"ro,lowerdir={source}:{empty}", "overlay", usr]


class Prefix(Row):
    """Python's own remedy: bytecode is kept elsewhere, in a tmpfs over the image's /tmp.
    Cold: it is empty each time, as after a boot; warm: it was filled before."""

    def __init__(self, name, title, warm):
        super().__init__(name, title, STALE)
        self.warm = warm
        self.filled = set()

    def shows(self, column):
        return column.group == "Python"

    @contextlib.contextmanager
    def shown(self, stage, tree):
        kept = stage.folder / self.name
        if not kept.is_dir():
            kept.mkdir()
            harness.run("mount", "-t", "tmpfs", "tmpfs", kept)
        with self.tree_bound(stage, tree) as root:
            harness.run("mount", "--bind", kept, root / "tmp")
            try:
                yield View(root, harness.ENVIRONMENT | {"PYTHONPYCACHEPREFIX": "/tmp/pyc"},
                           None)
            finally:
                harness.run("umount", "-l", root / "tmp")

    def before(self, view, column):
        if not self.warm:
            shutil.rmtree(view.root / "tmp/pyc", ignore_errors=True)
        elif column.name not in self.filled:
            column.measure(view)
            self.filled.add(column.name)


def all_rows():
    """In the order in which they are shown, the baseline first."""
    timeouts = joined(*(f"{word}_timeout={FOREVER_S}" for word in ("attr", "entry", "negative")))
    return [
        Row(BASELINE, "bare, times as installed", FRESH),
        Row("bare-stale", "bare, every time 0", STALE),
        Canonfs("canonfs-stacked", "canonfs, stacked", ["immutable,stack=on"]),
        Canonfs("canonfs-passthrough", "canonfs, passthrough",
                ["immutable,stack=off", "immutable"]),
        Canonfs("canonfs-mutable", "canonfs, source that can change", ["mutable"]),
        Overlay("overlayfs", "plain overlayfs", FRESH),
        # libfuse 2 must be told that it may hide files, libfuse 3 must not be.
        Peer("bindfs", "bindfs", lambda source, usr, variant: [
            "--multithreaded", "-o", joined("ro,kernel_cache", timeouts, variant), source, usr],
            ["nonempty", ""]),
        Peer("fuse-overlayfs", "fuse-overlayfs", lambda source, usr, variant: [
            "-o", f"lowerdir={source}", usr]),
        Peer("passthrough_ll", "libfuse's passthrough_ll", lambda source, usr, variant: [
            "-o", f"source={source},cache=always,timeout={FOREVER_S}", usr]),
        Peer("passthrough_hp", "libfuse's passthrough_hp", lambda source, usr, variant: [
            source, usr]),
        Prefix("prefix-cold", "PYTHONPYCACHEPREFIX, empty", warm=False),
        Prefix("prefix-warm", "PYTHONPYCACHEPREFIX, filled", warm=True),
    ]
