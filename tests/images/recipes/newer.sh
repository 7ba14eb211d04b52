# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What comes after the machine's own release: every python3.N and the PyPy of the suite in
# preparation, with a few libraries that each of them compiles (so many tags in one
# __pycache__), all times 0. Unpacked, not configured: that asks little of a suite that
# is broken now and then, and the interpreters run in a chroot all the same.

requires() {
	require_root newer
	require_program mmdebstrap unshare perl
	[ -n "$(inputs)" ] || skip "which suite follows $(os_release PRETTY_NAME)?"
}

inputs() {
	case $(os_release ID):$(os_release VERSION_ID) in
	debian:?*) echo testing ;;
	debian:) echo sid ;;
	ubuntu:*) echo devel ;;
	esac
}

recipe() {
	local tree=$1 suite sources uri
	suite=$(inputs)
	sources=$(suite_sources "$suite")
	uri=$(awk '{ print $(NF - 2); exit }' <<<"$sources")
	/usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "${uri%/}/dists/$suite/InRelease" "${tree%/*}/InRelease" ||
		skip "cannot reach the suite $suite"
	bootstrap "$sources" --variant=extract \
		--include='base-files,libc-bin,?name(^python3\.[0-9][0-9]+$),?exact-name(pypy3)' \
		--include=python3-attr,python3-jinja2,python3-requests,python3-yaml,libarchive-tools \
		"$suite" "$tree"
	bash "$IMAGES_SCRIPTS/compile-root" "$tree"
	drop_special_files "$tree"
	set_times "$tree" 0
}

verify() {
	at_least "$2" py 2000
	at_least "$2" pyc 9000
	[ "$(grep -c ^magic "$2")" -ge 2 ] || die 'fewer than two interpreters'
}
