#!/bin/sh
# deb.sh GO LDFLAGS NFPM VERSION OUT ARCH... builds the Debian packages
# for each of Debian's architectures into OUT, and prints their sizes. The same
# source gives the same bytes: times are SOURCE_DATE_EPOCH's, by default the
# last commit's.
set -eu
go=$1 ldflags=$2 nfpm=$3 version=$4 out=$5
shift 5
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
export DEB_ARCH DEB_VERSION CGO_ENABLED=0 LC_ALL=C
export DEB_MAINTAINER="${DEB_MAINTAINER:-Moult developers <moult-ota@users.noreply.github.com>}"

# Debian's versions begin with a digit, and sort; a commit alone does neither.
case $version in
v[0-9]*) DEB_VERSION=$(echo "${version#v}" | sed -e 's/-rc/~rc/' -e 's/-/+/' -e 's/-/./g') ;;
[0-9]*.*) DEB_VERSION=$version ;;
*) DEB_VERSION=0.0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).$(echo "$version" | tr -- - .) ;;
esac

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$PWD/packaging" "$work/packaging"

# What is the same everywhere comes from programs that run here.
mkdir "$work/here"
$go build -trimpath -ldflags "$ldflags" -o "$work/here/" ./cmd/moult
cmd/moult-agent/build.sh "$go" "$ldflags" "$work/here/"
"$work/here/moult" completion bash >"$work/moult.bash"
"$work/here/moult" completion zsh >"$work/moult.zsh"
"$work/here/moult" --help | packaging/manpage.sh moult 1 'firmware updates over the air' | gzip -9n >"$work/moult.1.gz"
"$work/here/moult-agent" --help | packaging/manpage.sh moult-agent 8 'keeps this device up to date' | gzip -9n >"$work/moult-agent.8.gz"
gzip -9n <CHANGELOG.md >"$work/CHANGELOG.md.gz"
for package in moult moult-agent moult-sbl; do
	printf '%s (%s) unstable; urgency=medium\n\n  * CHANGELOG.md.gz beside this file says what changed.\n\n -- %s  %s\n' \
		$package "$DEB_VERSION" "$DEB_MAINTAINER" "$(date -uR -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$work/changelog.$package.gz"
done

for DEB_ARCH in "$@"; do
	goarch=$DEB_ARCH
	[ "$DEB_ARCH" != armhf ] || goarch=arm
	( # the programs alone are for another machine, not nfpm
		export GOOS=linux GOARCH=$goarch GOARM=6
		$go build -trimpath -ldflags "$ldflags" -o "$work/moult" ./cmd/moult
		cmd/moult-agent/build.sh "$go" "$ldflags" "$work/moult-agent"
		cmd/moult-sbl/build.sh "$go" "$ldflags" "$work/moult-sbl"
	)
	for package in moult moult-agent moult-sbl; do
		file=$out/${package}_${DEB_VERSION}_$DEB_ARCH.deb
		(cd "$work" && $nfpm package --config "packaging/$package/nfpm.yaml" --packager deb --target "$file" >/dev/null)
		printf '%10d bytes  %s\n' "$(wc -c <"$file")" "${file##*/}"
	done
done
