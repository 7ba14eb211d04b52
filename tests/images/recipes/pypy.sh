# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The machine's packaged PyPy 3, laid out as the pyenv image: its magic numbers and its
# hash differ from CPython's of the same version, and tools took its files for Python 2's.

requires() {
	require_program pypy3 perl
}

inputs() {
	command -v pypy3 >/dev/null || return 0
	pypy3 -c 'import sys; print("pypy%d.%d-" % sys.version_info[:2] + "%d.%d.%d" % sys.pypy_version_info[:3])'
}

recipe() {
	local version program library folder
	version=$(inputs)
	program=$(readlink -f -- "$(command -v pypy3)")
	library=$(pypy3 -c 'import os; print(os.path.dirname(os.__file__))')
	folder=$1/$version
	mkdir -p -- "$folder/bin" "$folder/lib"
	cp -a -- "$program" "$folder/bin"
	ln -s -- "${program##*/}" "$folder/bin/pypy3"
	tar -c -C "${library%/*}" --exclude='*.pyc' --exclude=test --exclude=tests \
		--exclude=idlelib "${library##*/}" | tar -x -C "$folder/lib"
	bash "$IMAGES_SCRIPTS/compile-copy" "$folder/bin/pypy3" "$folder/lib/${library##*/}" \
		"$2/$version/lib/${library##*/}"
	set_times "$1" 0
}

verify() {
	at_least "$2" py 500
	at_least "$2" pyc 1500
}
