# SPDX-License-Identifier: GPL-2.0-or-later
"""A source may be a link that leads out of the tree. The tree may be immutable; what the
link leads to is not of the tree, and is never taken for something that cannot change."""
import sys

from conftest import mounted, run

IMPORT = "import sys; sys.path.insert(0, sys.argv[1]); import outside; print(outside.value)"


def imported(folder):
    return run(sys.executable, "-BIc", IMPORT, folder).stdout.strip()


def flags(folder, name):
    pyc = folder / "__pycache__" / f"{name}.{sys.implementation.cache_tag}.pyc"
    return pyc.read_bytes()[4]


def test_its_hash_is_compared_for_ever(place, front):
    outside = place / "outside.py"
    package = place / "source/package"
    outside.write_text("value = 1\n")
    package.joinpath("outside.py").symlink_to(outside)
    run(sys.executable, "-m", "compileall", "-qf", "--invalidation-mode", "checked-hash", package)
    with mounted(place / "source", place / "point", "immutable,hash=unchecked") as point:
        assert flags(point / "package", "one") == 1, "what is in the tree is not compared again"
        assert flags(point / "package", "outside") == 3
        assert imported(point / "package") == "1"
        outside.write_text("value = 2\n")
        assert imported(point / "package") == "2"
