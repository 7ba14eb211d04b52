# SPDX-License-Identifier: GPL-2.0-or-later
"""The end-to-end tests with a program that was built with sanitizers (scripts/build asan, tsan).

A server is in the background and has no stderr. So each process writes its report to a file
of its own, and ends. The test that was running finds the file, and fails.
"""
import os
import pathlib
import subprocess

# What is told to each sanitizer: NAME_OPTIONS. io_sync=0: all threads of a server read and
# write one descriptor, /dev/fuse. To ThreadSanitizer each read would come after all writes, and
# it would take nearly nothing for a race.
OPTIONS = {
    "asan": {"ASAN": "detect_stack_use_after_return=1", "UBSAN": "print_stacktrace=1"},
    "tsan": {"TSAN": "io_sync=0:halt_on_error=1:second_deadlock_stack=1"},
}
EXIT_STATUS = 99  # no status of canonfs's own


def sanitizer_of(program):
    """"asan", "tsan", or None for a program without one."""
    data = program.read_bytes()
    return next((name for name in OPTIONS if f"__{name}_init".encode() in data), None)


# libfuse reads from a file that a reader has open (fs/front/handle.h), and we close it at
# RELEASE. The kernel sends that after the last READ was answered, which ThreadSanitizer cannot
# see: to it, the two calls race for the descriptor.
SUPPRESSIONS = {"tsan": "called_from_lib:libfuse3.so\n"}


class Reports:
    """The folder of the reports; whatever user a process has, it can write there."""

    def __init__(self, folder, sanitizer):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.folder.chmod(0o1777)
        common = f"log_path={self.folder}/report:exitcode={EXIT_STATUS}"
        if sanitizer in SUPPRESSIONS:
            suppressions = self.folder.parent / "suppressions"
            suppressions.write_text(SUPPRESSIONS[sanitizer])
            common += f":suppressions={suppressions}"
        self.variables = {f"{name}_OPTIONS": f"{common}:{options}"
                          for name, options in OPTIONS[sanitizer].items()}
        os.environ.update(self.variables)
        self.add_to_every_process()

    def added_to(self, environment):
        """Whoever gives a process an environment of its own may also have options."""
        given = {name: ":".join(filter(None, (value, environment.get(name))))
                 for name, value in self.variables.items()}
        return {**environment, **given}

    def add_to_every_process(self):
        start = subprocess.Popen.__init__

        def start_with_options(process, *arguments, **options):
            if options.get("env") is not None:
                options["env"] = self.added_to(options["env"])
            start(process, *arguments, **options)

        subprocess.Popen.__init__ = start_with_options

    def take(self):
        """The text of all reports since the last call."""
        found = sorted(self.folder.iterdir())
        texts = [path.read_text(errors="replace") for path in found]
        for path in found:
            path.unlink()
        return "\n".join(texts)
