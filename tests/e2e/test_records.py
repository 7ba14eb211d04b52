# SPDX-License-Identifier: GPL-2.0-or-later
"""Sources that were edited to the same size before their times were set: pip's RECORD and dpkg's
md5sums tell, so their old bytecode is not run, and canonfs check names them."""
import base64
import functools
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

import jsonschema
import pytest

from conftest import CANONFS, TOP, missing, mounted, run
from pythons import write
from test_verify import SYSTEM, pyc_of

TRUE, FALSE = "VERIFY = True \nvalue = 1\n", "VERIFY = False\nvalue = 1\n"


def sha256(data):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def make_wheel(folder):
    """What setuptools would make: a package of two modules."""
    files = {"pkg/__init__.py": b"", "pkg/safe.py": TRUE.encode(), "pkg/other.py": TRUE.encode(),
             "pkg-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n",
             "pkg-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\n"
                                        b"Root-Is-Purelib: true\nTag: py3-none-any\n"}
    record = "".join(f"{name},{sha256(data)},{len(data)}\n" for name, data in files.items())
    files["pkg-1.0.dist-info/RECORD"] = (record + "pkg-1.0.dist-info/RECORD,,\n").encode()
    wheel = folder / "pkg-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return wheel


@functools.cache
def installed_by_pip():
    """It takes seconds, so it is done once for all tests; the folder goes with TMPDIR."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        missing("python3-pip is not installed")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="canonfs-test-pip-"))
    run(sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet",
        "--root-user-action=ignore", "--disable-pip-version-check", "--target", folder / "site",
        make_wheel(folder))
    return folder / "site"


def install_with_pip(root):
    site = root / "app/site"
    shutil.copytree(installed_by_pip(), site)
    return site, "/app/site/pkg-1.0.dist-info/RECORD"


def install_with_dpkg(root):
    """As dpkg leaves it."""
    site = root / "app/site"
    for name in ("__init__", "safe", "other"):
        write(site / f"pkg/{name}.py", "" if name == "__init__" else TRUE)
    run(sys.executable, "-m", "compileall", "-q", site)
    sums = "".join(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n"
                   for path in sorted(site.rglob("*.py")))
    write(root / "var/lib/dpkg/info/pkg.md5sums", sums)
    return site, "/var/lib/dpkg/info/pkg.md5sums"


@pytest.fixture(params=[install_with_pip, install_with_dpkg])
def installed(request, folder):
    """An image with a package, its bytecode, one edited source, and the times of ostree."""
    root = folder / "root"
    site, record = request.param(root)
    (site / "pkg/safe.py").write_text(FALSE)
    set_times(site)
    (folder / "mnt").mkdir()
    return root, site, record


def set_times(site):
    for path in site.rglob("*.py"):
        os.utime(path, (0, 0))


def used(mount, module):
    """What an import from the mount gives, and whether it used bytecode."""
    done = run(sys.executable, "-B", "-v", "-c",
               f"import pkg.{module} as m; print('VERIFY', m.VERIFY)",
               env={**os.environ, "PYTHONPATH": str(mount)})
    said = [line for line in done.stderr.splitlines()
            if f"pkg/__pycache__/{module}." in line and "matches" in line]
    return done.stdout.split()[1], bool(said)


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("options", ["", "mtime=1", "mtime=embedded", "trust=size"])
def test_an_edited_source_is_compiled(folder, installed, options):
    root, site, _ = installed
    words = ",".join(filter(None, [f"root={root}", "cache=off", options]))
    with mounted(site, folder / "mnt", words) as mount:
        assert used(mount, "safe") == ("False", False)
        assert used(mount, "other") == ("True", True)


def test_check_and_explain_name_it(installed):
    root, _, record = installed
    done = run(CANONFS, "check", "--json", "--root", root, "/app/site", check=False)
    report = json.loads(done.stdout)
    jsonschema.Draft7Validator(
        json.loads((TOP / "cli/schema/check.json").read_text())).validate(report)
    assert report["edited"] == [{"path": "/app/site/pkg/safe.py", "record": record}]
    assert report["status"] == 2 and report["bytecode"]["helped"] == report["bytecode"]["stale"] - 1
    text = run(CANONFS, "check", "--root", root, "/app/site", check=False).stdout
    assert "1 source file is not what its package installed" in text
    assert f"  /app/site/pkg/safe.py ({record})\n" in text
    done = run(CANONFS, "explain", "--json", "--root", root, "/app/site/pkg/safe.py", check=False)
    pyc = json.loads(done.stdout)["sources"][0]["bytecode"][0]
    assert pyc["record"] == "bad" and pyc["canonfs"]["reason"] == "edited"
    assert not pyc["trust"]["canonical"]["vouched"] and not pyc["trust"]["size"]["vouched"]


def test_bytecode_of_the_edit_may_be_proved(folder, installed):
    """An edit that was compiled, too: verify says so, and that counts more."""
    root, site, _ = installed
    cache = folder / "cache"
    cache.mkdir(mode=0o700)
    (site / "pkg/safe.py").write_text(FALSE)
    run(sys.executable, "-m", "compileall", "-q", "-f", site)
    set_times(site)
    options = f"root={root},cache={cache}/cache.db"
    with mounted(site, folder / "mnt", options) as mount:
        assert used(mount, "safe") == ("False", False)
    run(CANONFS, "verify", site, "--cache", cache / "cache.db")
    with mounted(site, folder / "mnt", options) as mount:
        assert used(mount, "safe") == ("False", True)


@pytest.mark.usefixtures("front")
def test_names_of_one_file_with_two_sources(folder):
    """Bytecode that was made one file: the edited source gets none of it."""
    root = folder / "root"
    site, _ = install_with_dpkg(root)
    safe, other = (pyc_of(SYSTEM, site / f"pkg/{name}.py") for name in ("safe", "other"))
    stat = (site / "pkg/safe.py").stat()
    os.utime(site / "pkg/other.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    safe.unlink()
    run(sys.executable, "-m", "compileall", "-q", "-f", site)
    safe.unlink()
    os.link(other, safe)
    (site / "pkg/safe.py").write_text(FALSE)
    set_times(site)
    (folder / "mnt").mkdir()
    with mounted(site, folder / "mnt", f"root={root},cache=off") as mount:
        assert used(mount, "safe") == ("False", False)
        assert used(mount, "other") == ("True", True)


def test_a_record_that_cannot_be_read_is_doubt(folder):
    """What it may list is not vouched for; the rest of the tree is."""
    root = folder / "root"
    site, _ = install_with_pip(root)
    write(root / "app/else.py", TRUE)
    run(sys.executable, "-m", "compileall", "-q", root / "app")
    set_times(root / "app")
    record = site / "pkg-1.0.dist-info/RECORD"
    record.unlink()
    os.mkfifo(record)
    done = run(CANONFS, "check", "--json", "--root", root, "/app", check=False)
    report = json.loads(done.stdout)
    assert [edited["path"] for edited in report["edited"]] == [
        f"/app/site/pkg/{name}.py" for name in ("__init__", "other", "safe")]
    assert report["bytecode"]["helped"] == 1
