# SPDX-License-Identifier: GPL-2.0-or-later
# Completion for fish. All that it offers it reads from canonfs's own --help, so it cannot be
# out of date.

# NAME<tab>DESCRIPTION of the lines that begin with two spaces and a name, of a --help.
function __canonfs_words
    canonfs $argv --help 2>/dev/null |
        string replace -rf '^  ([a-z][a-z_-]*)(?: [A-Z|]+)?  +(.*)' '$1\t$2'
end

# The command that is being typed; none is mount.
function __canonfs_command
    set -l words (commandline -opc)
    set -l names (__canonfs_words | string split -f1 \t)
    if set -q words[2]; and contains -- $words[2] $names
        echo $words[2]
    else
        echo mount
    end
end

function __canonfs_options
    canonfs (__canonfs_command) --help 2>/dev/null |
        string replace -rf '^ +(?:-[a-z], )?(--[a-z][a-z-]*)(?:[ =][A-Z:|]+)?  +(.*)' '$1\t$2'
end

# Words of -o, after those that stand there; a value in capitals is the user's to fill in.
function __canonfs_mount_words
    set -l before (commandline -ct | string replace -r '[^,]*$' '')
    begin
        canonfs mount --help 2>/dev/null |
            string replace -rf '^ {4}([a-z][a-z_-]*(?:=[^ ,]*)?)(?: |$|,).*' '$1'
        printf '%s\n' nosuid nodev noexec context=
    end | string replace -r '=[A-Z.].*' '=' | sort -u | string replace -r '^' "$before"
end

function __canonfs_mounts
    string replace -rf '^[^ ]+ ([^ ]+) fuse\.canonfs .*' '$1' </proc/self/mounts
    string replace -rf '^canonfs[^ ]* ([^ ]+) overlay .*' '$1' </proc/self/mounts
end

function __canonfs_wants_options
    string match -q -- '-*' (commandline -ct)
end

function __canonfs_is_first
    test (count (commandline -opc)) = 1
end

complete -c canonfs -n __canonfs_is_first -a '(__canonfs_words)'
complete -c canonfs -n __canonfs_wants_options -f -a '(__canonfs_options)'
complete -c canonfs -n 'not __fish_seen_subcommand_from trace' -s o -x -d 'mount options' -a '(__canonfs_mount_words)'
complete -c canonfs -n 'test (__canonfs_command) = cache; and test (count (commandline -opc)) = 2' \
    -f -a '(__canonfs_words cache)'
complete -c canonfs -n 'contains (__canonfs_command) umount status trace' \
    -f -a '(__canonfs_mounts)'
