# SPDX-License-Identifier: GPL-2.0-or-later
"""Which sources count as ones that never change: made with the tools that make them.

tests/unit/test_mutability.c has the cases; test_read_only_mounts.py has those that may change.
"""
import contextlib
import json
import shutil

import pytest

from conftest import CANONFS, make_package, missing, mounted, run


@contextlib.contextmanager
def on_tmpfs(path):
    path.mkdir()
    run("mount", "-t", "tmpfs", "-o", "mode=755", "none", path)
    try:
        yield path
    finally:
        run("umount", "-l", path)


@contextlib.contextmanager
def mount_of(*command):
    """command: of mount(8), with the mount point at its end."""
    command[-1].mkdir(exist_ok=True)
    run("mount", *command)
    try:
        yield command[-1]
    finally:
        run("umount", command[-1])


@contextlib.contextmanager
def bound_read_only(source, point):
    with mount_of("--bind", source, point):
        run("mount", "-o", "remount,bind,ro", point)
        yield point


def taken(source, point, options=""):
    """How it is shown, and whether it never changes, with the reason."""
    point.mkdir(exist_ok=True)
    with mounted(source, point, options):
        told = json.loads(run(CANONFS, "status", "--json", point).stdout)["mounts"][0]["status"]
    return told["mode"], told["immutable"], told["immutable_reason"]


# ---- ostree ----

@pytest.fixture
def deployed(folder):
    """The sysroot and the deployment that ostree made."""
    if not shutil.which("ostree"):
        missing("ostree is not there")
    with on_tmpfs(folder / "disk") as disk:
        sysroot, tree = disk / "sysroot", disk / "tree"
        for name in ("usr/lib/modules/6.1", "usr/etc", "boot", "sysroot", "var"):
            tree.joinpath(name).mkdir(parents=True)
        make_package(tree / "usr/lib/python3/package")
        for name in ("vmlinuz", "initramfs.img"):
            tree.joinpath("usr/lib/modules/6.1", name).write_text(name)
        tree.joinpath("usr/lib/os-release").write_text("ID=x\nNAME=x\nVERSION=1\n")
        tree.joinpath("usr/etc/os-release").symlink_to("../usr/lib/os-release")
        sysroot.mkdir()
        admin = ("ostree", "admin", f"--sysroot={sysroot}")
        run("ostree", "admin", "init-fs", "--modern", sysroot)
        run(*admin, "os-init", "os")
        run("ostree", f"--repo={sysroot}/ostree/repo", "commit", "-b", "main", f"--tree=dir={tree}",
            "--owner-uid=0", "--owner-gid=0")
        run(*admin, "deploy", "--os=os", "--karg=root=x", "main")
        deployment, = sysroot.glob("ostree/deploy/os/deploy/*.0")
        yield sysroot, deployment


def test_ostree(deployed, folder):
    """As a booted system has it: /usr is a read-only bind mount of a read-write file system."""
    _, deployment = deployed
    with bound_read_only(deployment / "usr", folder / "usr") as usr:
        assert taken(usr, folder / "point") == ("stacked", True, "ostree")
        assert taken(usr / "lib", folder / "point", "stack=off") == ("passthrough", True, "ostree")
        assert taken(usr, folder / "point", "mutable") == ("passthrough", False, "said-mutable")
    # Not so where it can be written to, and not the rest of it.
    assert taken(deployment / "usr", folder / "point")[1:] == (False, "read-write")
    with bound_read_only(deployment, folder / "root") as root:
        assert taken(root / "etc", folder / "point")[1:] == (False, "read-only-mount")


def test_ostree_unlocked(deployed, folder):
    """ostree admin unlock mounts an overlay over /usr, whose upper layer is written to."""
    _, deployment = deployed
    upper, work = folder / "disk/upper", folder / "disk/work"
    upper.mkdir()
    work.mkdir()
    with bound_read_only(deployment / "usr", folder / "usr") as usr, mount_of(
            "-t", "overlay", "-o", f"lowerdir={usr},upperdir={upper},workdir={work}", "overlay", usr):
        assert taken(usr, folder / "point")[1:] == (False, "upper-layer")
        run("mount", "-o", "remount,bind,ro", usr)
        assert taken(usr, folder / "point")[1:] == (False, "upper-layer")


def test_a_copy_of_a_deployment(deployed, folder):
    """Somebody's own directory of that name has no origin beside it."""
    sysroot, deployment = deployed
    copy = folder / "disk/copy" / deployment.relative_to(sysroot)
    copy.parent.mkdir(parents=True)
    run("cp", "-a", deployment, copy)
    with bound_read_only(copy / "usr", folder / "usr") as usr:
        assert taken(usr, folder / "point")[1:] == (False, "read-only-mount")


# ---- containers ----

def layers(storage, count):
    """Layers of an image in the layout of containers/storage, and the names that podman mounts
    them by, relative to storage."""
    storage.joinpath("l").mkdir(parents=True)
    names = []
    for number in range(count):
        name = f"{number:064x}"
        make_package(storage / name / "diff" / f"package{number}")
        names.append(f"l/ABCDEFGHIJKLMNOPQRSTUVWX{number:02}")
        storage.joinpath(names[-1]).symlink_to(f"../{name}/diff")
    return names


def test_a_mounted_image(folder):
    """podman image mount: an overlay of layers, with nothing to write to."""
    with on_tmpfs(folder / "disk") as disk:
        storage, merged = disk / "overlay", disk / "merged"
        names = layers(storage, 2)
        merged.mkdir()
        run("mount", "-t", "overlay", "-o", f"ro,lowerdir={':'.join(names)}", "overlay", merged,
            cwd=storage)
        assert taken(merged, folder / "point") == ("stacked", True, "container-layers")
        run("umount", merged)


def test_a_containers_root(folder):
    """podman run --read-only: read-only for the container, but podman cp writes to it."""
    with on_tmpfs(folder / "disk") as disk:
        storage, merged = disk / "overlay", disk / "merged"
        names = layers(storage, 1)
        for name in ("upper", "work", "merged"):
            disk.joinpath(name).mkdir()
        run("mount", "-t", "overlay", "-o",
            f"lowerdir={names[0]},upperdir={disk}/upper,workdir={disk}/work", "overlay", merged,
            cwd=storage)
        run("mount", "-o", "remount,bind,ro", merged)
        assert taken(merged, folder / "point")[1:] == (False, "upper-layer")
        run("umount", merged)


def test_an_overlay_of_directories(folder):
    """systemd-sysext, or one's own: who edits a directory below it sees the change."""
    with on_tmpfs(folder / "disk") as disk:
        for name in ("one", "two"):
            make_package(disk / name)
        with mount_of("-t", "overlay", "-o", f"ro,lowerdir={disk}/one:{disk}/two", "none",
                      disk / "merged") as merged:
            assert taken(merged, folder / "point")[1:] == (False, "other-layers")


def test_an_overlay_of_images(folder):
    if not shutil.which("mksquashfs"):
        missing("mksquashfs is not there")
    make_package(folder / "source/package")
    folder.joinpath("empty/sub").mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        points = []
        for name in ("source", "empty"):
            run("mksquashfs", folder / name, folder / f"{name}.img", "-quiet", "-no-progress")
            points.append(stack.enter_context(mount_of(
                "-o", "ro,loop", folder / f"{name}.img", folder / f"at-{name}")))
        assert taken(points[0], folder / "point") == ("stacked", True, "read-only-fs")
        merged = stack.enter_context(mount_of(
            "-t", "overlay", "-o", f"ro,lowerdir={points[1]}:{points[0]}", "none", folder / "merged"))
        assert taken(merged, folder / "point")[1:] == (True, "read-only-layers")
