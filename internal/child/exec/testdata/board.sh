#!/bin/sh
# A board whose flash is the folder $MOULT_ADDRESS: primary, secondary, and the
# flags pending and trial beside them. MUTE=1: it tells no hash, and images
# confirm themselves.
set -eu
cd "$MOULT_ADDRESS"

# version and hash stand beside each image
image() { cat "$1.version"; }
swap() { for x in "" .version .hash; do mv "primary$x" tmp; mv "secondary$x" "primary$x"; mv tmp "secondary$x"; done; }

case $1 in
state)
	[ ! -e off ] || { echo "no board on the bus" >&2; exit 10; }
	echo "version=$(image primary)"
	[ -z "${MUTE:-}" ] || exit 0
	echo "hash=$(cat primary.hash)"
	if [ -e trial ]; then echo confirmed=no; else echo confirmed=yes; fi
	if [ -e secondary ]; then
		echo "other_version=$(image secondary)"
		echo "other_hash=$(cat secondary.hash)"
	fi
	if [ -e pending ]; then echo other_pending=yes; fi
	;;
send)
	[ "$(wc -c <"$2")" -eq "$MOULT_SIZE" ]
	[ ! -e full ] || { echo "the image does not fit" >&2; exit 11; }
	echo "sent=$((MOULT_SIZE / 2))"
	cp "$2" secondary
	echo "$MOULT_VERSION" >secondary.version
	echo "$MOULT_HASH" >secondary.hash
	;;
try)
	[ "$(cat secondary.hash)" = "$MOULT_HASH" ] || exit 11
	touch pending
	;;
reset)
	if [ -e pending ]; then
		swap
		rm pending
		[ -n "${MUTE:-}" ] || touch trial
	elif [ -e trial ]; then
		swap
		rm trial
	fi
	;;
confirm)
	[ -z "${MUTE:-}" ] || exit 12
	rm -f trial
	;;
esac
