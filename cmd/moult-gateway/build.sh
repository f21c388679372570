#!/bin/sh
# build.sh GO LDFLAGS OUT builds moult-gateway for $GOARCH, static, as it is
# released.
set -eu
go=$1 ldflags=$2 out=$3
CGO_ENABLED=0 exec $go build -trimpath -ldflags "$ldflags" -o "$out" ./cmd/moult-gateway
