# SPDX-License-Identifier: GPL-2.0-or-later
"""own_usr.py CANONFS SIGTERM|umount ROUNDS OPTIONS: mounts canonfs over the running /usr, uses it,
and ends it under load. Run by test_mount.py, in a mount namespace that is thrown away.

Everything that a program runs from is under the mount while it lasts; what ends the mount
is not allowed to wait for it.
"""
import os
import signal
import subprocess
import sys
import time

LIMIT = 10  # seconds for a program that runs from the mount
END = 5
LOADS = [
    ["sh", "-c", "while :; do find /usr/lib/python3* -name '*.py' -size -9; done"],
    ["sh", "-c", "while :; do md5sum /usr/bin/*; done"],
    ["sh", "-c", "while :; do /usr/bin/python3 -c 'import json, email, asyncio'; done"],
]


def mounted():
    with open("/proc/self/mountinfo") as file:
        return any(line.split()[4] == "/usr" and
                   (" fuse.canonfs " in line or "lowerdir=canonfs-stubs:" in line) for line in file)


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def use():
    """Programs, old and new, run from the mount."""
    for command in (["ls", "/usr"], ["/usr/bin/python3", "-c", "import json, sqlite3, decimal"],
                    ["sh", "-c", "cat /usr/bin/env | md5sum"]):
        subprocess.run(command, check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)


def start_load():
    return [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             start_new_session=True) for command in LOADS]


def stop_load(loads):
    for load in loads:
        os.killpg(load.pid, signal.SIGKILL)
    for load in loads:
        load.wait(timeout=END)


def end_by_signal(supervisor, loads):
    supervisor.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    stop_load(loads)


def end_by_umount(supervisor, loads):
    """The mount is taken from under its users; they are served until they are done."""
    subprocess.run(["umount", "-l", "/usr"], check=True, timeout=LIMIT)
    time.sleep(0.2)
    stop_load(loads)


def one_round(canonfs, end, options):
    supervisor = subprocess.Popen([canonfs, "/usr", "/usr", "-f", "-o", options])
    assert wait_until(mounted, LIMIT), "not mounted"
    use()
    loads = start_load()
    time.sleep(0.3)
    end(supervisor, loads)
    assert supervisor.wait(timeout=END) == 0, "the supervisor failed"
    assert not mounted(), "still mounted"
    use()


def main(canonfs, how, rounds, options):
    end = {"SIGTERM": end_by_signal, "umount": end_by_umount}[how]
    for _ in range(int(rounds)):
        one_round(canonfs, end, options)
    print(f"{rounds} rounds")


if __name__ == "__main__":
    main(*sys.argv[1:])
