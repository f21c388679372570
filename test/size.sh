#!/bin/sh
# size.sh GO LDFLAGS ARCH... builds the devices' programs for each
# architecture, checks that they are static, and holds linux/arm to the budgets.
set -eu
go=$1 ldflags=$2
shift 2
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# check PROGRAM BUDGET ARCH [TAGS]: the budget is in bytes, for linux/arm
check() {
	export CGO_ENABLED=0 GOOS=linux GOARCH=$3 GOARM=6 GOMIPS=softfloat
	"cmd/$1/build.sh" "$go" "$ldflags" "$out/program" ${4:+"$4"}
	size=$(wc -c <"$out/program")
	printf '%-13s linux/%-8s %9d bytes %s\n' "$1" "$3" "$size" "${4:-}"
	if ! $go version -m "$out/program" | grep -q 'CGO_ENABLED=0' || grep -q 'ld-linux\|ld-musl' "$out/program"; then
		echo "$1, linux/$3: not static" >&2
		exit 1
	fi
	if [ "$3" = arm ] && [ "$size" -gt "$2" ]; then
		echo "$1, linux/arm: $size bytes, budget $2" >&2
		exit 1
	fi
}

for arch in "$@"; do
	check moult-agent 11500000 "$arch"
	check moult-agent 7500000 "$arch" moult_http_only
	check moult-gateway 30000000 "$arch"
	check moult-sbl 4000000 "$arch"
done
