# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests of the tests: one that hangs fails, and those after it go on; test processes see
no servers but their own."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from conftest import BUILD, CANONFS, TOP, mounted, run, servers, wait_until

HANGS = """
import os, signal
from conftest import mounted, servers

def test_that_hangs(place):
    with mounted(place / "source", place / "point", "stack=off,mutable") as point:
        for pid in servers():
            os.kill(pid, signal.SIGSTOP)
        os.listdir(point / "bare")

def test_after_it(place):
    assert not servers()
    with mounted(place / "source", place / "point") as point:
        assert (point / "bare/file").read_text() == "text"
"""


def pytest_of_its_own(folder, text, **environment):
    """Runs tests like those of this folder, in a test process of their own."""
    (folder / "test_inner.py").write_text(text)
    return run("/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest",
               "--rootdir", folder, folder, check=False, timeout=120,
               env={**os.environ, "PYTHONPATH": TOP / "tests/e2e", **environment})


def test_a_hung_server_fails_one_test(folder):
    """Nothing but an abort of the connection, or a kill, ends the wait for a stopped server."""
    done = pytest_of_its_own(folder, HANGS, CANONFS_TEST_LIMIT="3")
    assert re.search(r"^1 failed, 1 passed in ", done.stdout, re.M), done.stdout + done.stderr
    assert "TimeIsOver: the test took more than 3.0 s" in done.stdout
    assert str(folder) not in run("ps", "axww", "-o", "args").stdout


SIGNALS = """
import pathlib, re, subprocess

def test_that_nothing_is_ignored():
    status = pathlib.Path("/proc/self/status")
    seen = subprocess.run(["cat", status], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^SigIgn:\\t0+$", seen, re.M), seen
"""


@pytest.mark.parametrize("ignored", [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_ignored_signals_are_not_inherited(folder, ignored):
    """As the shell does for what it starts in the background."""
    before = signal.signal(ignored, signal.SIG_IGN)
    try:
        done = pytest_of_its_own(folder, SIGNALS)
    finally:
        signal.signal(ignored, before)
    assert re.search(r"^1 passed in ", done.stdout, re.M), done.stdout + done.stderr


def test_servers_are_of_this_process_only(place):
    """Another test process is no child of this one; here it is, but its server is not."""
    with mounted(place / "source", place / "point"):
        mine = servers()
        assert len(mine) == 2
        script = "import conftest; print(conftest.servers())"
        seen = run("/usr/bin/python3", "-c", script, cwd=TOP / "tests/e2e", env=os.environ).stdout
        assert seen == "set()\n"


def test_orphans_are_ours(folder):
    """What went to the background is found, although its parent is gone."""
    before = servers()
    source, point = folder / "source", folder / "point"
    source.mkdir()
    point.mkdir()
    subprocess.run(["sh", "-c", f"{CANONFS} {source} {point} & exit"], check=True)
    assert wait_until(lambda: len(servers() - before) == 2 and os.path.ismount(point))
    run(CANONFS, "umount", point)
    assert wait_until(lambda: servers() == before)


# ---- scripts/check ends ----

NEVER_ENDS = """
import os, pathlib, signal, time
import pytest
from conftest import mounted, servers

STARTED = pathlib.Path(__file__).parent / "started"

@pytest.mark.parametrize("hung", [False, True])
def test_that_never_ends(place, hung):
    with mounted(place / "source", place / "point", "stack=off,mutable") as point:
        for pid in servers() if hung else ():
            os.kill(pid, signal.SIGSTOP)
        (STARTED / str(hung)).touch()
        os.listdir(point / "bare")
        time.sleep(3600)
"""

STUBS = {
    "scripts/deps": "#!/bin/sh",
    "scripts/build": "#!/bin/sh",
    "tests/images/make": "#!/bin/sh",
    "scripts/test-e2e": """#!/bin/sh
export CANONFS_BUILDDIR={build} PYTHONPATH={top}/tests/e2e
exec /usr/bin/python3 -m pytest -q -p no:cacheprovider -p conftest -n 2 \\
    --rootdir {folder} {folder}/test_inner.py""",
}


def check_of_stubs(folder):
    """A copy of scripts/check; what it starts takes no time, but for tests that never end."""
    for name, text in STUBS.items():
        stub = folder / name
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(text.format(folder=folder, build=BUILD, top=TOP))
        stub.chmod(0o755)
    (folder / "test_inner.py").write_text(NEVER_ENDS)
    return shutil.copy(TOP / "scripts/check", folder / "scripts")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_check_ends_and_leaves_nothing(folder, ending):
    """Also while a test waits for a server that does not answer."""
    pytest.importorskip("xdist")
    for name in ("started", "tmp"):
        (folder / name).mkdir()
    with open(folder / "log", "w", encoding="ascii") as log:
        check = subprocess.Popen([check_of_stubs(folder)], stdout=log, stderr=log,
                                 env={**os.environ, "TMPDIR": str(folder / "tmp")})
    assert wait_until(lambda: len(os.listdir(folder / "started")) == 2, 60), (folder / "log").read_text()
    check.send_signal(ending)
    assert check.wait(timeout=120) == 1
    assert str(folder) not in run("ps", "axww", "-o", "args").stdout
    assert os.listdir(folder / "tmp") == []
