# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way to ask for a file, of a read-only bind mount and of a mount: all that differs is in
canonfs(1), HOW A MOUNT DIFFERS FROM ITS SOURCE."""
import errno
import os
import pathlib
import re
import subprocess

import pytest

from conftest import CANONFS, FRONT, missing, mounted, run, wait_until
from test_transparency import btrfs, plain, tmpfs, twins

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    """The program."""
    program = tmp_path_factory.mktemp("ways") / "ways"
    run("gcc", "-O1", "-D_GNU_SOURCE", "-Wall", "-Werror", "-o", program, HERE / "ways.c")
    return program


def answers(program, root):
    lines = run(program, root).stdout.splitlines()
    return dict(line.split(": ", 1) for line in lines)


# Of the file system, not of a file: its name, its kind, and what needs to know its kind.
KIND = {"statfs type", "statfs id", "pathconf _PC_LINK_MAX", "pathconf _PC_FILESIZEBITS",
        *(f"{command} {what}" for what in ("file", "folder") for command in
          ("FS_IOC_GETVERSION", "FS_IOC_FIEMAP", "FS_IOC_MEASURE_VERITY", "FS_IOC_GETFSLABEL", "FIBMAP",
           "FITRIM"))}
STATX = {f"statx {what} {field}" for what in ("file", "folder") for field in
         ("attributes", "attributes_mask", "birth", "access", "mask", "direct alignment")}
DIFFERS = {
    # With a libfuse before 3.18 there is no birth time.
    "off": KIND | STATX | {"preadv2 RWF_NOWAIT", "epoll_ctl", "open O_ACCMODE",
                           "fanotify_mark file system with names"},
    "on": KIND | STATX | {"preadv2 RWF_NOWAIT", "open O_ACCMODE", "statx file", "statx folder",
                          "fanotify_mark file system with names", "statfs numbers",
                          *(f"{call} {what}" for what in ("file", "folder") for call in
                            ("name_to_handle_at", "open_by_handle_at", "FIGETBSZ",
                             "FS_IOC_GETFLAGS", "FS_IOC_FSGETXATTR"))},
}


@pytest.fixture(params=[plain, tmpfs, btrfs], ids=lambda make: make.__name__)
def tree(request, folder):
    """On one file system after the other."""
    folder.chmod(0o755)
    root = request.param(folder)
    root.mkdir()
    root.joinpath("text").write_text("".join(f"{number}\n" for number in range(3000)))
    root.joinpath("folder").mkdir()
    run("chattr", "+A", root / "text", check=False)
    return root


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_every_way_to_ask(ways, tree, folder, options):
    with twins(tree, folder, options) as both:
        control, mount = both.both(lambda root: answers(ways, root))
    assert control.keys() - mount.keys() <= DIFFERS[FRONT["stack"]]
    found = {name: (control[name], mount.get(name)) for name in control
             if control[name] != mount.get(name)}
    assert {name: found[name] for name in found.keys() - DIFFERS[FRONT["stack"]]} == {}
    assert len(control) > 80 and "sendfile" in control


def flags_below(root):
    """What lsattr shows; it says on standard error what has none."""
    return run("lsattr", root, check=False).stdout.replace(str(root), "")


@pytest.mark.usefixtures("passthrough")
@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_flags_of_lsattr(tree, folder, options):
    """Of files and of folders; nothing else has any."""
    os.mkfifo(tree / "fifo")
    os.symlink("text", tree / "link")
    run("chattr", "+A", tree / "folder", check=False)
    control = flags_below(tree)
    if not re.search(r"A\S* /text\n", control):
        missing("a file system with flags")
    with twins(tree, folder, options) as both:
        assert flags_below(both.mount) == control


@pytest.mark.usefixtures("passthrough", "nothing_left")
@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_source_whose_server_dies(folder, options):
    """Reads fail as they do in the source, and the mount can be ended."""
    folder.chmod(0o755)
    for name in ("tree", "source", "mount"):
        folder.joinpath(name).mkdir()
    for name in ("tree/read", "tree/not-read"):
        folder.joinpath(name).write_text("text")
    with subprocess.Popen(["bindfs", "-f", folder / "tree", folder / "source"]) as server:
        try:
            assert wait_until(lambda: os.path.ismount(folder / "source"))
            with mounted(folder / "source", folder / "mount", options) as mount:
                assert (mount / "read").read_text() == "text"
                server.kill()
                server.wait()
                for root in (folder / "source", mount):
                    with pytest.raises(OSError) as failed:
                        (root / "not-read").read_text()
                    assert failed.value.errno == errno.ENOTCONN
                assert run(CANONFS, "umount", mount).stderr == ""
                says = run(CANONFS, folder / "tree", mount)  # for mounted() to end
                assert says.returncode == 0
        finally:
            server.kill()
            run("umount", "-l", folder / "source", check=False)
