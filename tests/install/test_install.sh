#!/usr/bin/env bash
# `make install` gives a program that runs, headers that compile alone as C11 and C++, and a library
# that a stranger's program links with, shared and static, through pkg-config.
set -uo pipefail
cd "$(dirname "$0")/../.."
CC=${CC:-cc}
PKG_CONFIG=${PKG_CONFIG:-pkg-config}
config=$(basename "${BUILD:-build/release}")
prefix=$(mktemp -d) || exit 1
trap 'rm -rf "$prefix"' EXIT
passed=0 failed=0 skipped=0

# check WHAT COMMAND...
check() {
	local what=$1 output
	shift
	if output=$("$@" 2>&1); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf '%s: failed: %s\n%s\n' "$what" "$*" "$output"
	fi
}
skip() {
	skipped=$((skipped + 1))
	echo "$1: skipped: $2"
}

staged() { # DESTDIR goes before PREFIX, and stays out of what is written into files
	env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory CONFIG="$config" \
		DESTDIR="$prefix/stage" PREFIX=/opt/patchbay install &&
		[ -x "$prefix/stage/opt/patchbay/bin/patchbay" ] &&
		grep -qx 'prefix=/opt/patchbay' "$prefix/stage/opt/patchbay/lib/pkgconfig/patchbay.pc"
}
check "make install" env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory CONFIG="$config" \
	PREFIX="$prefix" install
check "make install DESTDIR=" staged

version=$(cat VERSION)
# Output is taken whole: grep -q would close the pipe on its writer.
has_version() { grep -qwF "$version" <<<"$("$prefix/bin/patchbay" --version)"; }
check "patchbay --version" has_version
# Each option of a verb's --help is in the manual, and no other.
manual_has_options() {
	local verb options
	options=$(for verb in run eval submit prompts info merge verify top compare doctor; do "$prefix/bin/patchbay" $verb --help; done |
		grep -oE '^ .*--[a-z-]+' | grep -oE -e '--[a-z-]+' | sort -u)
	[ -n "$options" ] && diff <(echo "$options") <(sed 's/\\-/-/g' "$prefix/share/man/man1/patchbay.1" |
		grep -oE '^\.BR? .*--[a-z-]+' | grep -oE -e '--[a-z-]+' | grep -vx -e --version | sort -u)
}
check "options in the man page" manual_has_options
check "man page" grep -qF "$version" "$prefix/share/man/man1/patchbay.1"

for header in "$prefix"/include/patchbay/*.h; do
	name=patchbay/$(basename "$header")
	printf '#include <%s>\nextern int nothing;\n' "$name" >"$prefix/alone.c"
	check "$name as C11" "$CC" -std=c11 -Wall -Wextra -pedantic -Werror -I"$prefix/include" \
		-fsyntax-only "$prefix/alone.c"
	if command -v c++ >/dev/null; then
		check "$name as C++" c++ -x c++ -std=c++11 -Wall -Wextra -Werror -I"$prefix/include" \
			-fsyntax-only "$prefix/alone.c"
	else
		skip "$name as C++" "no C++ compiler"
	fi
done

cat >"$prefix/use.c" <<'END'
#include <patchbay/base.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
	char hex[PB_SHA256_HEX];
	struct pb_error error;
	memset(&error, 0, sizeof error);
	if (pb_sha256_of("abc", 3, hex, &error) != PB_OK)
		return 1;
	puts(hex);
	return 0;
}
END
abc=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
link_shared() {
	# shellcheck disable=SC2046 # words
	"$CC" -std=c11 "$prefix/use.c" $("$PKG_CONFIG" --cflags --libs patchbay) \
		-Wl,-rpath,"$prefix/lib" -o "$prefix/use" &&
		[ "$("$prefix/use")" = $abc ] &&
		grep -qF "$prefix/lib/libpatchbay.so" <<<"$(ldd "$prefix/use")"
}
link_static() {
	local flags
	flags=$("$PKG_CONFIG" --static --cflags --libs patchbay) &&
		flags=${flags/-lpatchbay/-l:libpatchbay.a} &&
		# shellcheck disable=SC2086
		"$CC" -std=c11 "$prefix/use.c" $flags -o "$prefix/use" && [ "$("$prefix/use")" = $abc ]
}
if [ "$config" = asan ]; then
	skip "a program with the shared library" "a sanitizer build"
	skip "a program with the static library" "a sanitizer build"
else
	check "a program with the shared library" link_shared
	check "a program with the static library" link_static
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
