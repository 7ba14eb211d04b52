# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the image scripts share. Sourced, never run.
#
# The tests need trees as real packages make them: hard links, symlinked sources,
# empty __init__.py, three optimisation levels. Invented trees have none of the
# oddities that broke the tools before us, so the images are built from the
# machine's own package archive and cached.

IMAGES_SCRIPTS=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
IMAGES_CACHE=${CANONFS_IMAGES:-${XDG_CACHE_HOME:-/var/cache}/canonfs-images}
export IMAGES_SCRIPTS IMAGES_CACHE

die() {
	printf 'tests/images: %s\n' "$*" >&2
	exit 1
}

# 77 is "skipped" to automake's test drivers.
skip() {
	printf 'tests/images: skipped: %s\n' "$*" >&2
	exit 77
}

require_root() {
	[ "$(id -u)" -eq 0 ] || skip "$1 must be made by root: its files belong to root"
}

require_program() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

image_names() {
	local recipe
	for recipe in "$IMAGES_SCRIPTS"/recipes/*.sh; do
		recipe=${recipe##*/}
		printf '%s\n' "${recipe%.sh}"
	done
}

# Print what is mounted at or beneath $1; fail if nothing is. mountinfo writes blanks and
# backslashes in octal, so the path is compared in that form.
mounted_beneath() {
	local top=${1//\\/\\134}
	top=${top// /\\040}
	top=${top//$'\t'/\\011}
	top=${top//$'\n'/\\012}
	top=$top awk '
		BEGIN { top = ENVIRON["top"] }
		$5 == top || index($5, top "/") == 1 { print $5; found = 1 }
		END { exit !found }' /proc/self/mountinfo
}

# A test that died may have left canonfs, or a bind mount of something precious, in a
# tree that is about to be removed.
refuse_mounts() {
	local mounts
	if mounts=$(mounted_beneath "$(readlink -m -- "$1")"); then
		die "$1: something is mounted there: ${mounts//$'\n'/ }"
	fi
}

remove_tree() {
	local tree
	for tree; do
		refuse_mounts "$tree"
		rm -rf --one-file-system -- "$tree"
	done
}

os_release() {
	(
		# shellcheck source=/dev/null
		. /etc/os-release
		printf '%s\n' "${!1-}"
	)
}

# How many lines, without wc's padding.
count() {
	find "$@" -printf 'x\n' | wc -l
}

# "magic NUMBER FILES" for every magic number found in tree $1.
magics() {
	find "$1" -xdev -type f \( -name '*.pyc' -o -name '*.pyo' \) -print0 |
		perl -0ne 'chomp; open my $f, "<:raw", $_ or die "$_: $!"; read $f, my $m, 2;
			$n{unpack "v", $m}++; END { print "magic $_ $n{$_}\n" for sort { $a <=> $b } keys %n }'
}

# What is in tree $1, one "word number" a line, for people and for the checks.
manifest() {
	printf 'files %s\n' "$(count "$1" -xdev -type f)"
	printf 'py %s\n' "$(count "$1" -xdev -name '*.py')"
	printf 'py-empty %s\n' "$(count "$1" -xdev -type f -name '*.py' -empty)"
	printf 'py-symlink %s\n' "$(count "$1" -xdev -type l -name '*.py')"
	printf 'pyc %s\n' "$(count "$1" -xdev -type f \( -name '*.pyc' -o -name '*.pyo' \))"
	printf 'pyc-hardlinked %s\n' "$(count "$1" -xdev -type f -name '*.pyc' -links +1)"
	printf 'mtime-earliest %s\n' "$(find "$1" -xdev -name '*.py' -printf '%T@\n' | sort -n | sed -n '1s/\..*//p')"
	printf 'mtime-latest %s\n' "$(find "$1" -xdev -name '*.py' -printf '%T@\n' | sort -rn | sed -n '1s/\..*//p')"
	magics "$1"
}

# Fail when word $2 of manifest $1 counts less than $3.
at_least() {
	local found
	found=$(awk -v word="$2" '$1 == word { print $2 }' "$1")
	[ "${found:-0}" -ge "$3" ] || die "only ${found:-0} $2, expected $3 or more"
}
