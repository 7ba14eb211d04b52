# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# One large file, for measuring how fast files are read. Its content is random: a file
# system or a disk may make less of zeros.

recipe() {
	mkdir -p -- "$1/usr"
	head -c 256M /dev/urandom >"$1/usr/large"
}

verify() {
	at_least "$2" files 1
}
