# SPDX-License-Identifier: GPL-2.0-or-later
"""An image's interpreter is whatever somebody has called python3.11. Here it is hostile.c,
which tries all that it should not be able to do, and is run by explain --ask and verify as
root, as a user, as the root of a user namespace and in a container.

What it reports is held against what is seen from outside: sockets that hear nothing, a process
that lives on, files that stay. A control runs it without a sandbox: there it succeeds, so the
attacks are real.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import uuid

import pytest

from conftest import CANONFS, missing, run, wait_until

HOSTILE = pathlib.Path(__file__).with_name("hostile.c")
USER = 4242
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
AS_NAMESPACE_ROOT = ["unshare", "-Ur"]
# Of a container, as engines give them.
CAPABILITIES = ["CAP_" + name for name in (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP"
    " NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE").split()]
SANDBOX_USER = 65533
GIGABYTES, FILES = 4, 64

# What each attack comes to. Those that are not here may not be "done".
HARMLESS = {"kill-parent": "ESRCH", "descriptors": "0", "fifo": "EROFS", "path": "EPERM",
            "tcp": "EPERM", "abstract": "EPERM", "vsock": "EPERM", "new-privileges": "0",
            "kill-all": "ESRCH", "kill": "ESRCH", "new-user": "EPERM", "new-user-clone": "EPERM",
            "new-user-clone3": "EPERM", "device": "EACCES", "memory-file": "EFBIG",
            "dot-dot": "ENOENT", "above": "ENOENT", "from-descriptor": "ENOENT"}
ALLOWED = {"bounding-set-kept"}  # no privileges can be gained, so it does not matter


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    program = tmp_path_factory.mktemp("hostile") / "hostile"
    made = run("gcc", "-O1", "-static", "-D_GNU_SOURCE", "-w", "-o", program, HOSTILE, check=False)
    if made.returncode:
        missing(f"no static program can be made: {made.stderr}")
    return program


class Image:
    """An image with the hostile interpreter and a module, and what is there to be attacked."""

    def __init__(self, folder, hostile):
        self.folder, self.root = folder, folder / "image"
        folder.chmod(0o755)
        (folder / "secret").write_text("not in the image")
        for name in ("usr/bin", "lib", "proc", "sys", "dev", "tmp", "run"):
            (self.root / name).mkdir(parents=True)
        (self.root / "tmp").chmod(0o1777)
        self.program = self.root / "usr/bin/python3.11"
        shutil.copy(hostile, self.program)
        (self.root / "lib/m.py").write_text("x = 1\n")
        run("python3", "-m", "py_compile", self.root / "lib/m.py")
        for name in ("victim", "private"):
            (self.root / name).write_text("whole")
        (self.root / "victim").chmod(0o666)
        (self.root / "private").chmod(0o600)
        os.mkfifo(self.root / "run/fifo")
        (self.root / "run/fifo").chmod(0o666)
        os.mknod(self.root / "run/null", 0o20666, os.makedev(1, 3))

    def give_to(self, user):
        """All but what is root's alone: it is the mount that keeps its owner from writing."""
        for path in [self.root, *self.root.rglob("*")]:
            if path.name != "private":
                os.chown(path, user, user, follow_symlinks=False)

    def attack(self, mode, victim=0, port=0, name="none"):
        (self.root / "attack").write_text(f"{mode} {victim} {port} {name}\n")

    def left(self):
        """Processes that run the hostile program."""
        wanted = self.program.stat()
        found = set()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                seen = os.stat(f"/proc/{pid}/exe")
                if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                    found.add(int(pid))
        return found

    def state(self):
        return {str(path): (path.lstat().st_mode, path.is_file() and path.read_bytes())
                for path in self.root.rglob("*")}


@pytest.fixture
def image(folder, hostile):
    image = Image(folder, hostile)
    yield image
    left = image.left()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "the hostile program was left running"


class Targets:
    """A process and three sockets, of whom the attacker may not get hold of any."""

    def __init__(self, image, stack, prefix):
        self.victim = subprocess.Popen([*prefix, "sleep", "1000"])
        stack.callback(self.victim.wait)
        stack.callback(self.victim.kill)
        assert wait_until(lambda: b"sleep" in pathlib.Path(f"/proc/{self.victim.pid}/cmdline")
                          .read_bytes().split(b"\0")[0])
        self.name = f"canonfs-test-{uuid.uuid4()}"
        self.tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.unix = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2)]
        self.unix[0].bind("\0" + self.name)
        # The path may be longer than a socket's name.
        here = os.open(image.root / "run", os.O_PATH)
        stack.callback(os.close, here)
        self.unix[1].bind(f"/proc/self/fd/{here}/socket")
        (image.root / "run/socket").chmod(0o777)
        for listener in self.unix:
            listener.listen()
        self.fifo = os.open(image.root / "run/fifo", os.O_RDONLY | os.O_NONBLOCK)
        stack.callback(os.close, self.fifo)
        image.attack("all", self.victim.pid, self.tcp.getsockname()[1], self.name)

    def reached(self):
        """Which of them noticed something."""
        found = set()
        for name, listener in (("tcp", self.tcp), ("abstract", self.unix[0]), ("path", self.unix[1])):
            listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                listener.accept()[0].close()
                found.add(name)
        if self.victim.poll() is not None:
            found.add("kill")
        return found


@pytest.fixture
def targets(image):
    with contextlib.ExitStack() as stack:
        yield lambda prefix=(): Targets(image, stack, prefix)


# ---- where canonfs runs ----

def as_container(image, seccomp=None):
    """A command that runs another one in a container on this machine's own files."""
    if not shutil.which("crun"):
        missing("crun is not installed")
    bundle = image.folder / "bundle"
    (bundle / "rootfs").mkdir(parents=True)
    run("crun", "spec", cwd=bundle)
    spec = json.loads((bundle / "config.json").read_text())
    spec["process"]["terminal"] = False
    spec["process"]["capabilities"] = {kind: CAPABILITIES
                                       for kind in ("bounding", "effective", "permitted")}
    spec["root"] = {"path": "rootfs", "readonly": True}
    spec["mounts"] = [mount for mount in spec["mounts"] if mount["type"] != "cgroup"]
    linux = spec["linux"]
    linux.pop("resources", None)
    linux["namespaces"] = [one for one in linux["namespaces"] if one["type"] != "cgroup"]
    if seccomp:
        linux["seccomp"] = seccomp
    starter = ("import json, os, sys\n"
               "spec = json.load(open('config.json'))\n"
               "spec['process']['args'] = sys.argv[1:]\n"
               "json.dump(spec, open('config.json', 'w'))\n"
               "os.system('mount --rbind / rootfs; umount -l /sys/fs/cgroup 2>/dev/null;'\n"
               "          'mount -t cgroup2 none /sys/fs/cgroup')\n"
               f"os.execvp('crun', ['crun', '--cgroup-manager=disabled', '--root={bundle}/state',"
               f" 'run', 'canonfs-{uuid.uuid4()}'])\n")
    (bundle / "config.json").write_text(json.dumps(spec))
    return ["unshare", "-m", "--propagation", "private", "env", "-C", bundle,
            "python3", "-c", starter]


# As dockerd's: without CAP_SYS_ADMIN, no namespaces.
NO_NAMESPACES = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": ["unshare", "mount", "setns"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["clone"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 0, "value": 0x10000000, "valueTwo": 0x10000000,
                   "op": "SCMP_CMP_MASKED_EQ"}]}]}

NO_USER_NAMESPACES = ["unshare", "-Ur", "sh", "-c",
                      'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"', "sh"]

PLACES = {
    "root": lambda image: [],
    "user": lambda image: AS_USER,
    "namespace-of-a-user": lambda image: AS_USER + AS_NAMESPACE_ROOT,
    "namespace-of-root": lambda image: AS_NAMESPACE_ROOT,
    "container": as_container,
}
REFUSING = {
    "no-user-namespaces": lambda image: NO_USER_NAMESPACES,
    "no-user-namespaces-for-a-user": lambda image: AS_USER + NO_USER_NAMESPACES,
    "container": lambda image: as_container(image, NO_NAMESPACES),
}


def ask(image, prefix=()):
    return run(*prefix, CANONFS, "explain", "--json", "--root", image.root, "--ask", "python3.11",
               "/lib/m.py", check=False)


def outcomes(done):
    """The hostile program's report, as explain --ask shows it."""
    assert done.returncode == 0, done.stderr
    said, = {entry["release"] for source in json.loads(done.stdout)["sources"]
             for pyc in source["bytecode"] for entry in pyc["asked"]}
    return dict(word.split("=") for word in said.split(","))


# ---- what it can do ----

def test_the_attacks_are_real(image, targets):
    """In a chroot, as the same user, most of it works."""
    target = targets(AS_USER)
    done = run("chroot", f"--userspec={USER}:{USER}", "--groups=", image.root,
               "/usr/bin/python3.11", check=False)
    found = dict(word.split("=") for word in done.stdout.split("\0")[1].split(","))
    assert wait_until(lambda: target.victim.poll() is not None)
    assert target.reached() == {"tcp", "abstract", "path", "kill"}
    for name in ("fifo", "write-tmp", "overwrite", "device", "memory-file",
                 "shared-memory", "kill-all", "ptrace", "io-uring", "keyring", "limits"):
        assert found[name] == "done", (name, found[name])
    assert found["new-privileges"] == "1" and int(found["descriptors"]) >= 0
    (image.root / "tmp/written").unlink()


@pytest.mark.parametrize("place", PLACES)
def test_nothing_gets_out(image, targets, place):
    prefix = PLACES[place](image)
    is_users = place in ("user", "namespace-of-a-user")
    target = targets(AS_USER if is_users else ())
    image.give_to(USER if is_users else SANDBOX_USER if place == "root" else 0)
    before, null = image.state(), os.stat("/dev/null").st_mtime_ns
    done = ask(image, prefix)
    assert target.reached() == set()
    assert image.state() == before
    assert os.stat("/dev/null").st_mtime_ns == null
    found = outcomes(done)
    wrong = {name: outcome for name, outcome in found.items()
             if outcome != HARMLESS.get(name, outcome) or (outcome == "done" and name not in ALLOWED)}
    if place in ("namespace-of-root", "container"):
        wrong.pop("private", None)  # there it has no other user than root's
    assert not wrong
    assert found["user"] == str(SANDBOX_USER)


@pytest.mark.parametrize("place", PLACES)
def test_too_much(image, place):
    """There are no more processes, and memory and descriptors end soon."""
    image.attack("exhaust")
    found = outcomes(ask(image, PLACES[place](image)))
    assert found["processes"] == "0"
    assert 0 < int(found["gigabytes"]) < GIGABYTES
    assert 0 < int(found["files"]) < FILES


@pytest.mark.parametrize("place", PLACES)
def test_nobody_outlives_it(image, place):
    """Neither in a session of its own, nor while it holds the output."""
    image.attack("outlive")
    assert outcomes(ask(image, PLACES[place](image))) == {"outlive": "EPERM"}
    assert image.left() == set()


def test_limits_that_are_lower_stay(image):
    """A user cannot raise them."""
    image.attack("exhaust")
    found = outcomes(ask(image, [*AS_USER, "prlimit", f"--as={2 << 30}", "--nofile=32", "--"]))
    assert int(found["gigabytes"]) < 2 and int(found["files"]) < 32


@pytest.mark.parametrize("mode", ["silent", "endless"])
def test_it_has_an_end(image, mode):
    """The interpreter is none, and those of the machine are asked."""
    image.attack(mode)
    done = run(CANONFS, "verify", "--no-record", "--json", "--root", image.root, "/lib", check=False)
    assert json.loads(done.stdout)["pycs"] == 1
    assert image.left() == set()


def test_it_ends_with_us(image):
    image.attack("silent")
    server = subprocess.Popen([CANONFS, "verify", "--no-record", "--root", image.root, "/lib"],
                              stdout=subprocess.DEVNULL)
    try:
        assert wait_until(image.left)
    finally:
        server.kill()
        server.wait()
    assert wait_until(lambda: not image.left())


# ---- where it is not run ----

@pytest.mark.parametrize("place", REFUSING)
def test_no_sandbox_no_run(image, targets, place):
    """One line says why, and nothing is run."""
    target = targets()
    prefix = REFUSING[place](image)
    done = ask(image, prefix)
    assert done.returncode == 66 and done.stderr.count("\n") == 1
    assert "there is no sandbox for programs of the image" in done.stderr
    done = run(*prefix, CANONFS, "verify", "--no-record", "--json", "--root", image.root, "/lib",
               check=False)
    assert done.stderr.count("\n") == 1 and "the image's interpreters are not run" in done.stderr
    assert json.loads(done.stdout)["pycs"] == 1
    assert target.reached() == set()


def executed(log):
    """The programs that a log of strace names."""
    return {line.split('"')[1] for line in log.read_text().splitlines() if "execve(" in line}


@pytest.mark.parametrize("words", [["check"], ["check", "--json"], ["explain"], ["verify", "--no-record"]])
def test_who_runs_something_of_an_image(image, words):
    """Of these verify alone."""
    if not shutil.which("strace"):
        missing("strace is not installed")
    # A file that does not say which version reads it.
    (image.root / "lib/__pycache__/m.cpython-311.opt-1.pyc").write_bytes(b"short")
    image.attack("none")
    log = image.folder / "log"
    path = "/lib/m.py" if words == ["explain"] else "/lib"
    run("strace", "-f", "-e", "trace=execve", "-o", log, CANONFS, *words, "--root", image.root, path,
        check=False)
    assert str(CANONFS) in executed(log)
    assert ("/usr/bin/python3.11" in executed(log)) == (words[0] == "verify")


# ---- this machine's ----

def ran(folder, program, prefix, *words):
    """Does verify run a program? As seen by strace."""
    log = folder / "log"
    log.touch()
    log.chmod(0o666)
    done = run(*prefix, "strace", "-f", "-e", "trace=execve", "-o", log, CANONFS, "verify", "--no-record",
               folder / "tree/lib", *words, check=False)
    is_run = str(program) in executed(log)
    log.unlink()
    return is_run, "that other users can change" in done.stderr


@pytest.mark.parametrize("caller", ["root", "user"])
def test_programs_of_other_users(folder, hostile, caller):
    """In the tree that is verified, and in $PATH; who gives the path means it."""
    if not shutil.which("strace"):
        missing("strace is not installed")
    folder.chmod(0o755)
    prefix, own = (AS_USER, USER) if caller == "user" else ([], 0)
    program = folder / "tree/bin/python3.11"
    for name in ("bin", "lib"):
        (folder / "tree" / name).mkdir(parents=True)
    shutil.copy(hostile, program)
    (folder / "tree/lib/m.py").write_text("x = 1\n")
    run("python3", "-m", "py_compile", folder / "tree/lib/m.py")
    by_path = ["env", f"PATH={program.parent}:{os.environ['PATH']}"]
    assert ran(folder, program, prefix) == (True, False)  # root's
    os.chown(program, own, own)
    assert ran(folder, program, prefix) == (True, False)
    os.chown(program, USER + 1, USER + 1)
    assert ran(folder, program, prefix) == (False, True)
    assert ran(folder, program, prefix + by_path) == (False, True)
    assert ran(folder, program, prefix, "--python", program)[0]
    os.chown(program, own, own)
    program.parent.chmod(0o777)
    assert ran(folder, program, prefix) == (False, True)
