# SPDX-License-Identifier: GPL-2.0-or-later
# Completion for bash. All that it offers it reads from canonfs's own --help, so it cannot
# be out of date; needs nothing of the package bash-completion.

# The names that begin lines, of a --help.
_canonfs_words() {
	canonfs "$@" --help 2>/dev/null | sed -nE 's/^  ([a-z][a-z_-]*)( [A-Z|]+)?  +.*/\1/p'
}

_canonfs_options() {
	canonfs "$@" --help 2>/dev/null | grep -oE -- '(^ +|, |\[)--?[a-z][a-z-]*' |
		grep -oE -- '--?[a-z][a-z-]*'
}

# Words of -o: a value in capitals is the user's to fill in.
_canonfs_mount_words() {
	{ canonfs mount --help 2>/dev/null |
		sed -nE 's/^ {4}([a-z][a-z_-]*(=[^ ,]*)?)( |$|,).*/\1/p'
		printf '%s\n' nosuid nodev noexec context=; } |
		sed -E 's/=[A-Z.].*/=/' | sort -u
}

_canonfs_mounts() {
	sed -nE 's/^[^ ]+ ([^ ]+) fuse\.canonfs .*/\1/p; s/^canonfs[^ ]* ([^ ]+) overlay .*/\1/p' \
		/proc/self/mounts
}

# The option list that is being typed, which bash cut at each "=".
_canonfs_complete_mount_words() {
	local list=${COMP_LINE:0:COMP_POINT}
	list=${list##*[[:space:]]}
	local item=${list##*,}
	local before=${list%"$item"}
	case $item in
	*=*) mapfile -t COMPREPLY < <(compgen -W "$(_canonfs_mount_words)" -- "$item")
		COMPREPLY=("${COMPREPLY[@]#*=}") ;;
	*) mapfile -t COMPREPLY < <(compgen -P "$before" -W "$(_canonfs_mount_words)" -- "$item") ;;
	esac
	compopt -o nospace
}

_canonfs() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local command=mount word commands
	commands=$(_canonfs_words)
	for word in $commands; do
		[ "${COMP_WORDS[1]}" != "$word" ] || command=$word
	done

	COMPREPLY=()
	if [ "$command" != trace ] &&
		{ [ "$previous" = -o ] || [[ ${COMP_LINE:0:COMP_POINT} =~ \ -o\ +[^\ ]*$ ]]; }; then
		_canonfs_complete_mount_words
	elif [ "$COMP_CWORD" = 1 ] && [[ $current != -* ]]; then
		mapfile -t COMPREPLY < <(
			compgen -W "$commands" -- "$current"
			compgen -d -- "$current"
		)
	elif [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_canonfs_options "$command")" -- "$current")
	elif [ "$command" = cache ] && [ "$COMP_CWORD" = 2 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_canonfs_words cache)" -- "$current")
	elif [[ $command =~ ^(umount|status|trace)$ ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_canonfs_mounts)" -- "$current")
	else
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	fi
}

complete -F _canonfs canonfs
