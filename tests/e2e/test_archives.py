# SPDX-License-Identifier: GPL-2.0-or-later
"""What archivers and 32-bit programs make of a mount is what they make of its source.

Archives are compared by their members: type, link, times, owner, attributes and content. Their
bytes also have numbers of devices and inodes. A stacked mount has inode numbers of its own,
which some archivers cannot hold; canonfs(1), HOW A MOUNT DIFFERS FROM ITS SOURCE.
"""
import contextlib
import errno
import hashlib
import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest

import nasty
from conftest import image, missing, run
from test_transparency import btrfs, overlay, plain, tmpfs, twins, xfs

pytestmark = pytest.mark.usefixtures("passthrough")
HERE = pathlib.Path(__file__).parent


@pytest.fixture(params=[plain, tmpfs, overlay, btrfs, xfs], ids=lambda make: make.__name__)
def tree(request, folder):
    """Files of several names, most of all, on one file system after the other."""
    folder.chmod(0o755)
    root = request.param(folder)
    root.mkdir()
    nasty.make_metadata(root / "metadata")
    nasty.make_special(root / "special")
    nasty.make_python(root / "python")
    nasty.make_xattrs(root / "xattrs")
    for number in range(7):
        (root / f"d{number}").mkdir()
    for number in range(60):
        file = root / f"d{number % 7}/file{number}"
        file.write_text(f"this is number {number}")
        os.link(file, root / f"d{(number + 3) % 7}/link{number}")
    with open(root / "holes", "wb") as file:
        for at in (0, 1 << 20, 3 << 20):
            os.pwrite(file.fileno(), b"data", at)
        file.truncate(4 << 20)
    root.joinpath(os.fsdecode(b"name\xff\n")).write_text("named")
    root.joinpath("n" * 255).write_text("long")
    os.symlink("t" * 200, root / "link")
    return root


def members(archive):
    """{name: all that the archive says of it}; a pyc may have another header, but here has not."""
    found = {}
    with tarfile.open(archive, errors="surrogateescape") as tar:
        for member in tar:
            data = tar.extractfile(member).read() if member.isreg() else b""
            headers = {key: value for key, value in member.pax_headers.items()
                       if key.rpartition(".")[2] not in ("atime", "ctime", "dev", "ino", "nlink")
                       and key not in ("atime", "ctime")}
            found[member.name.removeprefix("./")] = (
                member.type, member.linkname, member.mode, member.uid, member.gid, member.mtime,
                member.size, member.devmajor, member.devminor, headers,
                hashlib.sha256(data).hexdigest())
    return found


def by_gnu_tar(root, archive, *options):
    run("tar", "--create", "--sort=name", "--format=posix", *options, "-f", archive, "-C", root, ".")
    return members(archive)


def by_bsdtar(root, archive):
    run("bsdtar", "-c", "--format=pax", "-f", archive, "-C", root, *sorted(os.listdir(root)))
    return members(archive)


def by_node(root, archive):
    """Of what it can hold: no times before 1970, and no names that are not UTF-8."""
    names = [name for name in sorted(os.listdir(root))
             if name.isprintable() and name not in ("metadata", "special")]
    run("node", HERE / "pack.js", archive, *names, cwd=root)
    return members(archive)


def by_cpio(root, archive):
    """What it unpacks: it stores numbers of inodes, and that is how it tells links."""
    with open(archive, "wb") as stream:
        names = subprocess.run(["find", ".", "-print0"], cwd=root, stdout=subprocess.PIPE,
                               check=True).stdout
        names = b"\0".join(sorted(names.rstrip(b"\0").split(b"\0"))) + b"\0"
        subprocess.run(["cpio", "--null", "--create", "--format=newc", "--quiet"], input=names,
                       cwd=root, stdout=stream, check=True)
    unpacked = archive.with_suffix(".unpacked")
    unpacked.mkdir()
    with open(archive, "rb") as stream:
        subprocess.run(["cpio", "--extract", "--preserve-modification-time", "--quiet"],
                       stdin=stream, cwd=unpacked, check=True)
    for where, folders, files in os.walk(unpacked):  # it keeps the times of files only
        for name in [".", *folders, *filter(lambda name: os.path.islink(f"{where}/{name}"), files)]:
            os.utime(f"{where}/{name}", (0, 0), follow_symlinks=False)
    return by_gnu_tar(unpacked, archive.with_suffix(".again"))


ARCHIVERS = {
    "tar": ("tar", by_gnu_tar),
    "tar-one-file-system": ("tar", lambda root, archive: by_gnu_tar(
        root, archive, "--one-file-system")),
    "tar-xattrs": ("tar", lambda root, archive: by_gnu_tar(
        root, archive, "--xattrs", "--xattrs-include=*", "--acls", "--selinux")),
    "tar-sparse": ("tar", lambda root, archive: by_gnu_tar(root, archive, "--sparse")),
    "bsdtar": ("bsdtar", by_bsdtar),
    "node-tar": ("npm", by_node),
    "cpio": ("cpio", by_cpio),
}


@pytest.mark.parametrize("name", ARCHIVERS)
def test_archives_are_the_same(tree, folder, name):
    program, archive = ARCHIVERS[name]
    if not shutil.which(program):  # npm is not something that scripts/deps can provide everywhere
        (pytest.skip if program == "npm" else missing)(f"{program} is not there")
    with twins(tree, folder) as both:
        control = archive(both.control, folder / "control.tar")
        mount = archive(both.mount, folder / "mount.tar")
    assert [(path, *pair) for path, facts in control.items()
            for pair in zip(facts, mount[path]) if pair[0] != pair[1]] == []
    assert mount.keys() == control.keys()
    links = [one for one in control.values() if one[0] == tarfile.LNKTYPE]
    assert len(links) >= 60, "so many files have two names"


@contextlib.contextmanager
def seen_in(image_root, folder):
    """A folder as a folder of an image."""
    point = image_root / "mnt"
    point.mkdir(exist_ok=True)
    run("mount", "--rbind", folder, point)
    try:
        yield
    finally:
        run("umount", "-l", point)


def test_bsdtar_of_a_newer_release(folder):
    """From libarchive 3.7.5 on, inode numbers that an archive cannot hold become 0."""
    newer = image("newer")
    folder.chmod(0o755)
    root = folder / "plain"
    root.mkdir()
    for number in range(20):
        root.joinpath(f"file{number}").write_text(f"this is number {number}")
        os.link(root / f"file{number}", root / f"link{number}")
    view = folder / "root"
    view.mkdir()
    run("mount", "--rbind", newer, view)
    try:
        with twins(root, folder) as both:
            found = []
            for name in ("control", "mount"):
                with seen_in(view, getattr(both, name)), open(folder / f"{name}.tar", "wb") as out:
                    subprocess.run(["chroot", view, "bsdtar", "-c", "--format=pax", "-C", "/mnt", "."],
                                   stdout=out, check=True)
                found.append(members(folder / f"{name}.tar"))
    finally:
        run("umount", "-l", view)
    assert found[0] == found[1]
    assert sum(one[0] == tarfile.LNKTYPE for one in found[0].values()) == 20


LIST_32 = r"""
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
	DIR *stream = opendir(argv[argc - 1]);
	struct dirent *entry;
	struct stat status;

	while (stream && (errno = 0, entry = readdir(stream))) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", argv[argc - 1], entry->d_name);
		errno = 0;
		if (lstat(path, &status) < 0)
			status.st_ino = 0;
		printf("%s %d %llu %llu\n", entry->d_name, errno, (unsigned long long)entry->d_ino,
		       (unsigned long long)status.st_ino);
	}
	printf("%d\n", errno);
	return sizeof(void *) != 4;
}
"""


def runs(program, root):
    with contextlib.suppress(OSError):  # the kernel knows no such format
        return subprocess.run([program, root], check=False, capture_output=True).returncode == 0
    return False


@pytest.fixture(params=[(), ("-D_FILE_OFFSET_BITS=64",)], ids=["small", "large-files"])
def list_32(request, folder):
    """The program, without and with support of large files."""
    source, program = folder / "list.c", folder / ("list-large" if request.param else "list")
    source.write_text(LIST_32)
    made = run("gcc", "-m32", *request.param, source, "-o", program, check=False)
    if made.returncode or not runs(program, folder):
        pytest.skip("no 32-bit programs here")
    return program


def test_program_of_32_bits(tree, folder, list_32):
    """It sees what it sees in the source; on XFS that may be EOVERFLOW. But positions in
    directories of ext4 have 64 bits here, where they have 32 for such a program on ext4."""
    with twins(tree, folder) as both:
        for name in ("d0", "d1", "special"):
            control, mount = both.both(lambda root, name=name: sorted(
                line for line in run(list_32, root / name).stdout.splitlines()
                if not line.startswith(".")))
            too_far = mount == [str(errno.EOVERFLOW)]
            assert control == mount or (too_far and list_32.name == "list")
