#!/bin/sh
# build.sh GO LDFLAGS OUT [TAGS] builds moult-agent for $GOARCH, static, as it
# is released: without HTTP/2, which would cost 0.4 MB for a few small requests.
# With moult_http_only as TAGS it reaches servers by HTTP only. On 32-bit arm
# pages have 4 KiB, not the 64 KiB for which Go would leave room.
set -eu
go=$1 ldflags=$2 out=$3 tags=nethttpomithttp2${4:+,$4}
[ "$($go env GOARCH)" != arm ] || ldflags="$ldflags -R 4096"
CGO_ENABLED=0 exec $go build -trimpath -tags "$tags" -ldflags "$ldflags" -o "$out" ./cmd/moult-agent
