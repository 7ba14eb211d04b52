# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The debian image with every time set as Cloud Native Buildpacks do: 1980-01-01
# and a second, the first that a zip archive can hold.

base() {
	echo debian
}

requires() {
	require_root buildpacks
}

recipe() {
	copy_tree "$3" "$1"
	set_times "$1" 315532801
}

verify() {
	verify_times "$1" "$2" 315532801
}
