# SPDX-License-Identifier: GPL-2.0-or-later
"""What the shells complete, asked in a terminal of the shells themselves: a line is typed,
TAB is pressed, and then the line is turned into an argument of echo, so that the shell
prints what it made of it."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from conftest import BUILD, CANONFS, TOP, missing, run

COMPLETIONS = TOP / "completions"
CONTROL_A, CONTROL_E = "\x01", "\x05"

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"],
             "source {}/canonfs.bash; bind 'set enable-bracketed-paste off'"),
    "zsh": (["zsh", "-f", "-i"],
            "fpath=({} $fpath); autoload -U compinit; compinit -u -D; bindkey -e; unset zle_bracketed_paste"),
    "fish": (["fish", "--no-config", "-i"], "source {}/canonfs.fish"),
}


class Terminal:
    """A shell in a terminal, with our program first in its path."""

    def __init__(self, name, home):
        command, setup = SHELLS[name]
        if not shutil.which(name):
            missing(f"{name} is not installed")
        environment = {"PATH": f"{BUILD}:/usr/bin:/bin", "HOME": str(home), "TERM": "xterm",
                       "XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home), "LC_ALL": "C.UTF-8"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            os.execvpe(command[0], command, environment)
        self.line(setup.format(COMPLETIONS))

    def type(self, text):
        os.write(self.fd, text.encode())

    def read_until(self, pattern):
        text = ""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                text += os.read(self.fd, 65536).decode(errors="replace")
            found = re.search(pattern, text)
            if found:
                return found[1]
        pytest.fail(f"the shell did not print {pattern!r}: {text!r}")

    def line(self, text):
        """Runs a command and waits for its end; the quotes keep its echo from matching."""
        self.type(f"{text}; echo rea''dy\r")
        self.read_until(r"(ready)\r?\n")

    def completed(self, text):
        """What a line becomes when TAB is pressed at its end."""
        self.type(text + "\t" + CONTROL_A + "echo \"li\"'ne' " + CONTROL_E + " '<<'\r")
        line = self.read_until(r"[\r\n]line ([^\r\n]*?) +<<\r?\n")
        return line

    def close(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, 9)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)


@pytest.fixture(params=SHELLS)
def shell(request, folder):
    terminal = Terminal(request.param, folder)
    yield terminal
    terminal.close()


def test_a_line_in_each_shell(shell):
    for typed, expected in (
            ("canonfs umo", "canonfs umount"),
            ("canonfs cache exp", "canonfs cache export"),
            ("canonfs cache list --js", "canonfs cache list --json"),
            ("canonfs umount --la", "canonfs umount --lazy"),
            ("canonfs a b -o trust=ver", "canonfs a b -o trust=verified"),
            ("canonfs mount a b -o immutable,mtime=emb", "canonfs mount a b -o immutable,mtime=embedded"),
            ("canonfs a b -o immutable,xd", "canonfs a b -o immutable,xdev"),
            ("canonfs zzz", "canonfs zzz")):
        assert shell.completed(typed) == expected


def commands():
    return re.findall(r"^  ([a-z]+)  +", run(CANONFS, "--help").stdout, re.M)


def options_of(command):
    """The long options that a command's help begins lines with."""
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z][a-z-]*)", run(CANONFS, command, "--help").stdout, re.M))


def in_bash(line):
    """What bash is offered for the last word of a line."""
    script = r'''source "$1"; COMP_LINE=$2; COMP_POINT=${#2}; read -ra COMP_WORDS <<<"$2"
              [[ $2 != *' ' ]] || COMP_WORDS+=(''); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
              compopt() { :; }; _canonfs; printf '%s\n' "${COMPREPLY[@]}"'''
    return set(with_program("bash", "-c", script, "-", COMPLETIONS / "canonfs.bash", line))


def in_fish(line):
    script = f"source {COMPLETIONS}/canonfs.fish; complete -C $argv[1]"
    return {word.split("\t")[0] for word in with_program("fish", "--no-config", "-c", script, line)}


def with_program(*command):
    environment = dict(os.environ, PATH=f"{BUILD}:/usr/bin:/bin")
    return run(*command, env=environment).stdout.splitlines()


def test_every_command_and_option_is_offered():
    names = commands()
    assert {"mount", "umount", "cache"} <= set(names)
    assert set(names) <= in_bash("canonfs ")
    assert set(names) <= in_fish("canonfs ")
    for name in names:
        options = options_of(name)
        assert options, name
        assert options <= in_bash(f"canonfs {name} --"), name
        assert options <= in_fish(f"canonfs {name} --"), name


def test_bash_leaves_names_whole(folder):
    pathlib.Path(folder, "two words").mkdir()
    assert f"{folder}/two words" in in_bash(f"canonfs mount {folder}/two")
    assert f"{folder}/two words" in in_bash(f"canonfs {folder}/two")


def test_zsh_finds_every_option():
    """The function that zsh is offered options by, called outside of a completion."""
    for name in commands():
        script = f"source <(sed '/^_canonfs \"/d' {COMPLETIONS}/_canonfs); _canonfs_options {name}"
        found = {line.split(":")[0] for line in with_program("zsh", "-f", "-c", script)}
        assert options_of(name) <= found, name


def test_installed_where_the_shells_look(folder):
    run("make", "-C", BUILD, "install-data", f"DESTDIR={folder}")
    found = {str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*canonfs*")}
    for place in ("bash-completion/completions/canonfs", "zsh/site-functions/_canonfs",
                  "fish/vendor_completions.d/canonfs.fish"):
        assert any(path.endswith("share/" + place) for path in found), (place, found)
