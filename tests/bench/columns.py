# SPDX-License-Identifier: GPL-2.0-or-later
"""The columns of the comparison: what is done in a tree, and how long it takes.

Each measures in seconds, and fails where a row does not do all of the work.

tree     the one that is read
remount  where the kernel happens to put a file's pages can matter more than who reads them:
         a mount for each sample has that fall into the spread
"""
import json
import os

import harness
from harness import Failed
from modules import IMPORT_ALL

PYTHON = "/usr/bin/python3"


class PythonColumn:
    """A program that is run in the tree, with the tree's own interpreter."""
    group = "Python"
    tree = "image"
    remount = False

    def __init__(self, name, title, *command):
        self.name, self.title, self.command = name, title, list(command)

    def measure(self, view):
        return harness.seconds(self.command, view.root, view.environment)


class WalkColumn:
    """Every directory of /usr is listed, and every name in it gets an lstat. In a mount of
    its own: some servers run out of descriptors here, and then serve nothing any more."""
    group = "walk"
    tree = "walk"
    remount = False

    def __init__(self, processes, tool):
        self.name = f"walk-{processes}"
        self.title = f"walk with lstat, {processes} process{'es' * (processes > 1)}"
        self.processes, self.tool = processes, tool
        self.list = self.entries = None

    def prepare(self, stage):
        """Finds the names, in the bare tree."""
        self.list, self.entries = stage.folder / "directories", 0
        names = []
        usr = stage.images[self.tree]["fresh"] / "usr"
        for folder, folders, files in os.walk(usr):
            names.append(os.fsencode(os.path.relpath(folder, usr)))
            self.entries += len(folders) + len(files)
        self.list.write_bytes(b"".join(name + b"\0" for name in names))

    def measure(self, view):
        found = json.loads(harness.run(self.tool, self.processes, self.list, view.usr).stdout)
        if found["entries"] != self.entries:
            raise Failed(f"{found['entries']} entries instead of {self.entries}")
        return found["seconds"]


class ReadColumn:
    """fio's reads of one large file. Its own time is not counted: the mean time of a read,
    times the reads."""
    group = "read"
    tree = "large"
    remount = True

    def __init__(self, name, title, *words):
        self.name, self.title = name, title
        self.words = words

    def measure(self, view):
        said = harness.run("fio", "--name=read", f"--filename={view.usr / 'large'}",
                           "--readonly", "--ioengine=psync", "--thread", "--invalidate=0",
                           "--fadvise_hint=0", "--output-format=json", *self.words,
                           cwd="/").stdout
        read = json.loads(said[said.index("{"):])["jobs"][0]["read"]
        return read["total_ios"] * read["lat_ns"]["mean"] / 1e9


def all_columns(build):
    """In the order in which they are shown."""
    walker = build / "tests/tools/walk-tree"
    return [
        PythonColumn("start", "start-up: python3 -c pass", PYTHON, "-c", "pass"),
        PythonColumn("import", "import of some 320 modules", PYTHON, "-c", IMPORT_ALL),
        PythonColumn("pip", "pip --version", PYTHON, "/usr/bin/pip", "--version"),
        PythonColumn("django", "python3 -m django --version", PYTHON, "-m", "django",
                     "--version"),
        PythonColumn("numpy", "import numpy", PYTHON, "-c", "import numpy"),
        *(WalkColumn(processes, walker) for processes in (1, 2, 4, 8)),
        ReadColumn("seq-read", "256 MB, 128 KB at a time", "--rw=read", "--bs=128k"),
        ReadColumn("rand-read", "32 MB at random, 4 KB at a time", "--rw=randread", "--bs=4k",
                   "--io_size=32m"),
    ]
