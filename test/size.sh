#!/bin/sh
# size.sh GO LDFLAGS TAGS ARCH... builds the agent for each architecture, checks
# that it is static, and holds linux/arm to the budget that we allow.
set -eu
go=$1 ldflags=$2 tags=$3
shift 3
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
budget=7500000 # bytes, linux/arm, HTTP only: all that the agent has today
for arch in "$@"; do
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch GOARM=6 GOMIPS=softfloat $go build -trimpath -tags "$tags" -ldflags "$ldflags" -o "$out/agent" ./cmd/moult-agent
	size=$(wc -c <"$out/agent")
	printf 'moult-agent linux/%-8s %9d bytes\n' "$arch" "$size"
	if ! $go version -m "$out/agent" | grep -q 'CGO_ENABLED=0' || grep -q 'ld-linux\|ld-musl' "$out/agent"; then
		echo "linux/$arch: not static" >&2
		exit 1
	fi
	if [ "$arch" = arm ] && [ "$size" -gt "$budget" ]; then
		echo "linux/arm: $size bytes, budget $budget" >&2
		exit 1
	fi
done
