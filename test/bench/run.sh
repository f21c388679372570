#!/bin/sh
# run.sh runs every bench in turn; each prints ratios against a reference
# that was measured in the same run, and its target.
set -u
cd "$(dirname "$0")/../.."
status=0
for dir in test/bench/*/; do
	echo "== $dir"
	go run "./$dir" "$@" || status=1
done
exit $status
