#!/bin/sh
# need.sh COMMAND:PACKAGE... installs Debian packages whose command is missing,
# where it may; otherwise it names the package and fails.
set -eu
PATH=$PATH:/usr/sbin:/sbin:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tr '\n' ':')
missing=
for pair in "$@"; do
	command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
sudo=
[ "$(id -u)" -eq 0 ] || sudo="sudo -n"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
if ! command -v apt-get >/dev/null 2>&1 || ! $sudo apt-get update -qq || ! $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
	echo "the tests need these packages, which could not be installed here:$missing" >&2
	exit 1
fi
