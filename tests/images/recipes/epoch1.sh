# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The debian image with every time set to 1, as in a Nix store.

base() {
	echo debian
}

requires() {
	require_root epoch1
}

recipe() {
	copy_tree "$3" "$1"
	set_times "$1" 1
}

verify() {
	verify_times "$1" "$2" 1
}
