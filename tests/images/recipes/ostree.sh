# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The debian image after a real ostree commit and checkout, as on an ostree host. A bare
# repository keeps owners, and -H insists on the hard links of a deployment: every file
# shares its inode with the repository, equal files share one, and all have mtime 0 but
# the empty ones, which ostree creates anew at checkout and leaves their time.

base() {
	echo debian
}

requires() {
	require_root ostree
	require_program ostree
}

recipe() {
	local tree=$1 source=$3 repo
	repo=${tree%/*}/repo
	ostree init --repo="$repo" --mode=bare
	ostree commit --repo="$repo" --branch=canonfs/test --subject=test "$source"
	ostree checkout --repo="$repo" -H canonfs/test "$tree"
}

verify() {
	local tree=$1 count
	at_least "$2" py 4000
	at_least "$2" pyc 12000
	count=$(count "$tree" -type f ! -empty -newermt @0)
	[ "$count" -eq 0 ] || die "$count files that are not empty kept a time"
	count=$(count "$tree" -type f -empty -name '*.py' -newermt @0)
	[ "$count" -ge 50 ] || die "only $count empty sources kept their time"
}
