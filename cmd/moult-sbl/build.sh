#!/bin/sh
# build.sh GO LDFLAGS OUT builds moult-sbl for $GOARCH, static and small enough
# to stand in an initrd: without xz and keys in forms that a loader is not given
# (moult_sbl), and without inlining, but for what sums images. On 32-bit arm
# pages have 4 KiB, not the 64 KiB for which Go would leave room.
set -eu
go=$1 ldflags=$2 out=$3
[ "$($go env GOARCH)" != arm ] || ldflags="$ldflags -R 4096"
set -- -gcflags=all=-l
for p in crypto/internal/fips140/sha256 crypto/internal/fips140deps/byteorder internal/byteorder math/bits; do
	set -- "$@" "-gcflags=$p="
done
CGO_ENABLED=0 exec $go build -trimpath -tags moult_sbl -ldflags "$ldflags" "$@" -o "$out" ./cmd/moult-sbl
