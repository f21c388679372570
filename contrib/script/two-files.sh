#!/bin/sh
# Boot variables in two files, for boot = script: an example to start from.
#   two-files.sh get    prints name=value lines
#   two-files.sh set    reads name=value lines, keeps all others
# Each file is "sequence checksum length" and then the lines. set writes the
# older file, so that a power cut leaves the newer one as it was.
set -eu
dir=${MOULT_BOOT_FOLDER:-/boot/moult}

newest() { # sets at and seq to those of the newest file that is whole
	at= seq=0
	for n in 0 1; do
		[ -r "$dir/env.$n" ] || continue
		read -r s sum <"$dir/env.$n" || continue
		case $s in '' | *[!0-9]*) continue ;; esac
		[ "$sum" = "$(tail -n +2 "$dir/env.$n" | cksum)" ] || continue
		if [ "$s" -gt "$seq" ]; then at=$n seq=$s; fi
	done
}

newest
case ${1:-} in
get)
	[ -z "$at" ] || tail -n +2 "$dir/env.$at"
	;;
set)
	new=$(cat)
	if [ -n "$at" ]; then
		new=$({ printf '%s\n' "$new"; tail -n +2 "$dir/env.$at"; } | awk -F= '!seen[$1]++')
	fi
	[ "$at" = 0 ] && to=1 || to=0
	printf '%d %s\n%s\n' $((seq + 1)) "$(printf '%s\n' "$new" | cksum)" "$new" >"$dir/env.$to"
	sync "$dir/env.$to" "$dir"
	;;
*)
	echo "usage: $0 get|set" >&2
	exit 2
	;;
esac
