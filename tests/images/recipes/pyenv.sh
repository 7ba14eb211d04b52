# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The interpreter and standard library of every CPython that pyenv has on the machine, for
# the magic numbers and header layouts that Debian no longer ships: IMAGE/VERSION/{bin,lib},
# compiled at every level by that version itself, all times 0. Without tests, and of
# site-packages only what pyenv itself puts there: the rest is somebody's.
versions=${PYENV_ROOT:-$HOME/.pyenv}/versions

requires() {
	[ -n "$(inputs)" ] || skip "there is no CPython in $versions"
	require_program perl
}

# The versions, one a line. Links are aliases or virtual environments.
inputs() {
	local python version
	for python in "$versions"/[0-9]*/bin/python; do
		version=${python%/bin/python}
		if [ -x "$python" ] && [ ! -L "$version" ]; then
			printf '%s\n' "${version##*/}"
		fi
	done
}

recipe() {
	local tree=$1 final=$2 version library
	mkdir -- "$tree"
	for version in $(inputs); do
		library=$(cd "$versions/$version" && echo lib/python[23].*[0-9])
		copy_version "$version" "$library" "$tree"
		bash "$IMAGES_SCRIPTS/compile-copy" "$tree/$version/bin/python" "$tree/$version/$library" \
			"$final/$version/$library"
	done
	set_times "$tree" 0
}

copy_version() {
	local version=$1 library=$2 tree=$3 site
	site=$version/$library/site-packages
	(
		cd "$versions" || exit
		tar -c --exclude='*.py[co]' --exclude='*.a' --exclude=test --exclude=tests \
			--exclude=idlelib --exclude=turtledemo --exclude=site-packages \
			"$version"/bin/python* "$version"/lib
		find "$site" -mindepth 1 -maxdepth 1 -regextype egrep \
			-regex '.*/(pip|setuptools|pkg_resources|_distutils_hack|easy_install\.py)' -print0 |
			tar -c --exclude='*.py[co]' --null --files-from=-
	) | tar -x --ignore-zeros -C "$tree"
}

verify() {
	local version magics
	for version in $(inputs); do
		magics "$1/$version" | awk -v version="$version" '
			{ files += $3 }
			END { if (NR != 1 || files < 1500) { print version ": too few"; exit 1 } }'
	done
	magics=$(grep -c '^magic' "$2")
	[ "$magics" -ge 1 ] || die 'no magic number'
}
