#!/bin/sh
# fuzz.sh TIME runs every fuzz target of the module for TIME each.
set -eu
grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do
	for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file"); do
		echo "== ${file%/*} $target"
		go test -run "^\$" -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 20x "${file%/*}"
	done
done
