# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What recipes make trees with. Sourced after common.sh. Kept apart from it because
# this text is part of every image's key: what changes here makes all images again.

# Run a command whose mounts vanish with it, however it ends.
in_private_mounts() {
	unshare --mount --propagation private -- "$@"
}

# "URI SUITE COMPONENT" for each archive of the machine's apt configuration, in its order.
# `apt-get indextargets` reads sources.list and deb822 alike, and fetches nothing.
machine_archives() {
	apt-get indextargets --no-release-info \
		--format "\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" \
		'Created-By: Packages' 'Target-Of: deb' | awk '!seen[$0]++'
}

# What the machine's sources call the suite it runs: its codename or a moving name.
machine_suite() {
	local archives suite
	archives=$(machine_archives)
	for suite in "$(os_release VERSION_CODENAME)" stable testing unstable sid devel; do
		if awk -v suite="$suite" '$2 == suite { found = 1 } END { exit !found }' <<<"$archives"; then
			printf '%s\n' "$suite"
			return
		fi
	done
	die "apt's sources name no suite of $(os_release PRETTY_NAME)"
}

# One-line sources of the machine's own suite $1 with its updates and security.
# Third-party archives use the suite's name too, so the distribution's is the one that
# has SUITE-updates as well, or else the first.
machine_sources() {
	machine_archives | awk -v suite="$1" -v options="$(signed_by)" '
		{ line[NR] = $0; has[$1, $2] = 1 }
		$2 == suite && !archive { archive = $1 }
		$2 == suite "-updates" && !updates { updates = $1 }
		END {
			if (updates && has[updates, suite])
				archive = updates
			for (i = 1; i <= NR; i++) {
				split(line[i], word, " ")
				if (word[1] == archive && (word[2] == suite || word[2] == suite "-updates") ||
				    word[2] == suite "-security")
					print "deb", options line[i]
			}
		}'
}

# One-line sources of suite $1 from the machine's own archive.
suite_sources() {
	local machine
	machine=$(machine_suite)
	machine_sources "$machine" | awk -v suite="$1" -v machine="$machine" '
		$(NF - 1) == machine { $(NF - 1) = suite; print }'
}

# The machine's own choices about downloading, in apt.conf's syntax: mmdebstrap reads
# none of its configuration. Nobody sets Check-Valid-Until but where the mirror stands
# still; signatures are checked in any case.
machine_apt_options() {
	apt-config dump --no-empty Acquire::Check-Valid-Until \
		Acquire::http::Proxy Acquire::https::Proxy
}

# mmdebstrap with sources $1 on its input, and our options.
bootstrap() {
	local sources=$1 options
	shift
	mapfile -t options < <(machine_apt_options)
	in_private_mounts mmdebstrap --mode=root --format=directory \
		--aptopt='Acquire::Languages "none"' "${options[@]/#/--aptopt=}" \
		"$@" - <<<"$sources"
}

signed_by() {
	local keyring
	keyring=/usr/share/keyrings/$(os_release ID)-archive-keyring.gpg
	if [ -e "$keyring" ]; then
		printf '[signed-by=%s] ' "$keyring"
	fi
}

# Everything but regular files, directories and symlinks: tests copy and commit
# the trees, and neither ostree nor a plain user may hold a device node.
drop_special_files() {
	find "$1" -xdev ! -type f ! -type d ! -type l -delete
}

copy_tree() {
	mkdir -- "$2"
	# Real copies: times belong to inodes, so links to the first image's files
	# would change that image.
	cp -a --reflink=auto -- "$1/." "$2"
}

# Set every mtime of tree $1 to $2 seconds, links and directories too.
set_times() {
	find "$1" -xdev -depth -print0 | xargs -0 touch --no-dereference --date="@$2" --
}

# Fail when tree $1 with manifest $2, a copy of debian, has any mtime but $3.
verify_times() {
	local other
	at_least "$2" py 4000
	at_least "$2" pyc 12000
	other=$(find "$1" -xdev -printf '%T@\n' | grep -cvx "$3\.0*" || :)
	[ "$other" -eq 0 ] || die "$other times are not $3"
}
