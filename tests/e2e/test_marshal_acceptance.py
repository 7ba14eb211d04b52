# SPDX-License-Identifier: GPL-2.0-or-later
"""The walk over marshalled code accepts every bytecode file that a real interpreter wrote,
and refuses each of them cut short: a truncated body under a matching header would make
imports fail that were only slow before.
"""
import os
import pathlib
import re

import pytest

from conftest import BUILD, LONG, image, run

WALK = BUILD / "tests/tools/walk-pycs"
CUTS = 64 if LONG else 4


def machine_trees():
    """The libraries of the interpreters that are installed here."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    trees = [*pyenv.glob("versions/*/lib"), *pathlib.Path("/usr/lib").glob("python3*"),
             *pathlib.Path("/usr/lib").glob("pypy3*")]
    return [tree for tree in trees if tree.is_dir()]


def tally(trees):
    """{version: accepted}; fails if the walk was wrong about any file."""
    result = run(WALK, "--cuts", CUTS, *trees, check=False)
    counts = {}
    for line in result.stdout.splitlines():
        match = re.match(r"(\S+) +\( *\d+\) accepted +(\d+) +rejected +(\d+) +"
                         r"unsupported +(\d+) +cuts +(\d+), accepted (\d+)", line)
        if match:
            version, *numbers = match.groups()
            accepted, rejected, unsupported, cuts, cuts_accepted = map(int, numbers)
            assert (rejected, unsupported, cuts_accepted) == (0, 0, 0), line
            assert cuts >= accepted, line
            counts[version] = accepted
    assert result.returncode == 0, result.stdout + result.stderr
    return counts


@pytest.mark.parametrize("name", ["debian", "pyenv", "pypy", "newer"])
def test_images(name):
    counts = tally([image(name)])
    print(counts)
    assert counts and all(accepted > 500 for accepted in counts.values())


def test_this_machine():
    counts = tally(machine_trees())
    print(counts)
    assert sum(counts.values()) > 500
