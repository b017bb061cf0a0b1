#!/bin/sh
# The same for the golden models of the families: tests/golden/run_families.sh [MODEL...]
ENGINE=tests/golden/families COMPARE=tests/golden/compare_families.py \
	exec "$(dirname "$0")/run_engine.sh" "$@"
