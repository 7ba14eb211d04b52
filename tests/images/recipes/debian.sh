# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The machine's own distribution and suite with Python and well-known libraries,
# compiled at the three optimisation levels by the image's own interpreter. Times are
# the packages' own: this is the fresh state that the other images spoil.

# Django and Twisted for their numbers (and Django for its empty __init__.py), numpy
# for extension modules beside sources, the rest for odd layouts and many importers.
packages=(
	python3 python3-attr python3-cryptography python3-django python3-docutils
	python3-jinja2 python3-markupsafe python3-numpy python3-pip python3-pygments
	python3-requests python3-setuptools python3-twisted python3-yaml
)

requires() {
	require_root debian
	require_program mmdebstrap unshare perl
}

inputs() {
	os_release ID
	os_release VERSION_CODENAME
}

recipe() {
	local tree=$1 suite sources
	suite=$(machine_suite)
	sources=$(machine_sources "$suite")
	# force-unsafe-io: nothing here must survive a power failure.
	bootstrap "$sources" --variant=apt --dpkgopt=force-unsafe-io \
		--include="$(IFS=, && echo "${packages[*]}")" \
		"$suite" "$tree"
	bash "$IMAGES_SCRIPTS/compile-root" "$tree"
	drop_special_files "$tree"
}

verify() {
	at_least "$2" py 4000
	at_least "$2" pyc 12000
	at_least "$2" py-empty 50
	at_least "$2" py-symlink 1
	at_least "$2" pyc-hardlinked 3000
	at_least "$2" mtime-earliest 1000000000
}
