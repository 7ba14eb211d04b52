# SPDX-License-Identifier: GPL-2.0-or-later
"""Several readers of one tree at once: each finds what one alone finds. With a sanitizer, the
threads of the server come upon each other here (scripts/check)."""
import concurrent.futures
import contextlib
import os

import pytest

import corpus
from conftest import mounted
from walk import describe

READERS = 8


@pytest.fixture
def tree(folder):
    (folder / "tree").mkdir()
    (folder / "point").mkdir()
    corpus.make(folder / "tree")
    return folder


def look(point, reader):
    """All that describe() finds; before it, names that are not there, which the kernel does not
    know from another reader."""
    for number in range(100):
        assert not os.path.lexists(point / f"not-there-{reader}-{number}")
        with contextlib.suppress(OSError):
            os.getxattr(point, f"user.canonfs.{number}")
    return describe(point)


@pytest.mark.parametrize("options", ["immutable,stack=off", "mutable", "immutable,stack=on"])
def test_readers_do_not_disturb_each_other(tree, options):
    with mounted(tree / "tree", tree / "point", options) as point:
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            found = list(pool.map(look, [point] * READERS, range(READERS)))
        alone = look(point, READERS)
    assert len(alone) > sum(kind[0] for kind in corpus.KINDS.values())
    assert all(one == alone for one in found)
