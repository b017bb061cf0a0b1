#!/bin/sh
# Find what a build needs and is not there, and install it from Debian packages where that is
# allowed.
#
#   make/deps.sh check GROUP...     print the packages that are missing, on one line
#   make/deps.sh install GROUP...   install them; status 1, with the line to run, where it may not
#   make/deps.sh python [GROUP]     print the Python that the tests (or this group) should use
#
# The Makefile passes CC, PKG_CONFIG, PYTHON (may be empty) and the libraries' VAR_CFLAGS and
# VAR_LIBS in the environment. A machine without apt-get (modules, conda) only needs the libraries to be found.
set -u
list=$(dirname "$0")/packages.debian
CC=${CC:-cc}
PKG_CONFIG=${PKG_CONFIG:-pkg-config}

# rows GROUP...: "package check" for each package of these groups
rows() {
	awk -v groups="$*" '
		BEGIN { n = split(groups, g, " "); for (i = 1; i <= n; i++) want[g[i]] = 1 }
		/^[a-z]/ && ($1 in want) { sub(/^[^ ]+ +/, ""); print }' "$list"
}

# has_modules PYTHON MODULE...
has_modules() {
	"$1" -c 'import importlib.util as u, sys
sys.exit(any(u.find_spec(m) is None for m in sys.argv[2:]))' "$@" 2>/dev/null
}

# find_python GROUP...: $PYTHON, or the first that has all modules of these groups: the one in PATH (a
# virtual environment, conda), else the system's, where Debian's packages go.
find_python() {
	for python in ${PYTHON:-python3 /usr/bin/python3}; do
		# shellcheck disable=SC2046 # a word each
		has_modules "$python" $(rows "$@" | sed -n 's/.* py://p') && break
	done
	echo "$python"
}

have_command() {
	case $1 in
	python3) set -- "$PYTHON" ;;
	c++) set -- "${CXX:-$1}" ;;
	clang-format) set -- "${CLANG_FORMAT:-$1}" ;;
	clang-tidy) set -- "${CLANG_TIDY:-$1}" ;;
	cppcheck) set -- "${CPPCHECK:-$1}" ;;
	esac
	command -v "$1" >/dev/null 2>&1
}

# have_header FILE: for C++
have_header() {
	printf '#include <%s>\n' "$1" | ${CXX:-c++} ${CPPFLAGS:-} -x c++ -E - >/dev/null 2>&1
}

have_fuzzer() {
	program=$(mktemp) || return 1
	echo 'int LLVMFuzzerTestOneInput(const char *data, long n); int LLVMFuzzerTestOneInput(const char *data, long n) { return !data && n; }' |
		clang -fsanitize=fuzzer -x c - -o "$program" 2>/dev/null
	status=$?
	rm -f "$program"
	return $status
}

# have_library VAR:MODULES:HEADER:CALL:LIBS
have_library() {
	IFS=: read -r var modules header call libs <<-END
		$1
	END
	for module in $(echo "$modules" | tr , ' '); do
		"$PKG_CONFIG" --exists "$module" 2>/dev/null && return 0
	done
	eval "cflags=\${${var}_CFLAGS:-} libs=\${${var}_LIBS:-\$libs}"
	program=$(mktemp) || return 1
	# shellcheck disable=SC2086,SC2154 # flags are words; cflags is set by the eval
	printf '#define PCRE2_CODE_UNIT_WIDTH 8\n#include <%s>\nint main(void) { (void)%s; return 0; }\n' \
		"$header" "$call" |
		$CC ${CPPFLAGS:-} $cflags -x c - -x none ${LDFLAGS:-} $libs -o "$program" 2>/dev/null
	status=$?
	rm -f "$program"
	return $status
}

missing() {
	PYTHON=$(find_python "$@")
	packages=$(rows "$@" | while read -r package check; do
		case $check in
		cmd:*) have_command "${check#cmd:}" ;;
		lib:*) have_library "${check#lib:}" ;;
		py:*) has_modules "$PYTHON" "${check#py:}" ;;
		header:*) have_header "${check#header:}" ;;
		fuzzer) have_fuzzer ;;
		finder) ;;
		*) echo "make/deps.sh: $list: unknown check '$check' of $package" >&2 ;;
		esac </dev/null || printf '%s ' "$package"
	done)
	if [ -n "$packages" ] && ! command -v "$PKG_CONFIG" >/dev/null 2>&1; then
		packages="$(rows "$@" | sed -n 's/ *finder$//p') $packages"
	fi
	echo "$packages"
}

# What of these packages is missing, for a reader without apt-get.
explain() {
	for package in "$@"; do
		rows build unit test cluster browser lint fuzz models peers | while read -r name check; do
			[ "$name" = "$package" ] || continue
			IFS=: read -r kind a b c _ <<-END
				$check
			END
			case $kind in
			finder) echo "  $PKG_CONFIG: not in PATH (set PKG_CONFIG, or the variables below)" ;;
			cmd) echo "  $a: not in PATH" ;;
			header) echo "  $a: not found by ${CXX:-c++} (set CPPFLAGS)" ;;
			fuzzer) echo "  libFuzzer: clang does not link with it" ;;
			py) echo "  Python module $a: not found by $(find_python test) (pip install $a, or set PYTHON)" ;;
			lib) echo "  $c: not found by $CC${b:+, nor $b by $PKG_CONFIG} (set ${a}_CFLAGS and ${a}_LIBS)" ;;
			esac
		done
	done
}

# apt_get ARGUMENT...: as root, without questions
apt_get() {
	# shellcheck disable=SC2086 # empty for root
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

apt_install() {
	log=$(mktemp) || return 1
	{
		ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || apt_get update
		# The lists may name versions that the mirror no longer has: read them again, once.
		apt_get install -y --no-install-recommends "$@" ||
			{ apt_get update && apt_get install -y --no-install-recommends "$@"; }
	} >"$log" 2>&1
	status=$?
	[ $status -eq 0 ] || tail -n 20 "$log" >&2
	rm -f "$log"
	return $status
}

install_missing() {
	packages=$(missing "$@")
	[ -n "$packages" ] || return 0
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "patchbay: not found, and there is no apt-get here to install it:" >&2
		# shellcheck disable=SC2086
		explain $packages >&2
		return 1
	fi
	as_root=
	if [ "$(id -u)" -ne 0 ]; then
		as_root="sudo -n"
		if ! sudo -n true 2>/dev/null; then
			echo "patchbay: packages are missing, and this user may not install them; run" >&2
			echo "  sudo apt-get install --no-install-recommends $packages" >&2
			return 1
		fi
	fi
	echo "patchbay: installing $packages"
	# shellcheck disable=SC2086
	if ! apt_install $packages; then
		echo "patchbay: apt-get failed; run it by hand:" >&2
		echo "  apt-get update && apt-get install --no-install-recommends $packages" >&2
		return 1
	fi
	packages=$(missing "$@")
	[ -z "$packages" ] && return 0
	echo "patchbay: installed, and still not found:" >&2
	# shellcheck disable=SC2086
	explain $packages >&2
	return 1
}

# A text that changes when what was found may no longer be there: packages came or went (another
# machine or container included), or other variables are set.
fingerprint() {
	echo "$*"
	cat "$list" "$0"
	stat -c %d:%i:%Y /var/lib/dpkg/status /usr/include /usr/lib 2>/dev/null
	echo "$CC $PKG_CONFIG ${PYTHON:-} $PATH ${PKG_CONFIG_PATH:-} ${CPPFLAGS:-} ${LDFLAGS:-}"
	rows "$@" | sed -n 's/.* lib:\([A-Z0-9]*\):.*/\1/p' | while read -r var; do
		eval "echo \"\${${var}_CFLAGS:-} \${${var}_LIBS:-}\""
	done
}

# The checks take half a second: the answer "nothing" is remembered under build/.
check() {
	stamp=build/deps/$(echo "$*" | tr ' ' -)
	now=$(fingerprint "$@" | cksum)
	[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ] && return 0
	packages=$(missing "$@")
	if [ -n "$packages" ]; then
		echo "$packages"
	else
		mkdir -p build/deps && echo "$now" >"$stamp"
	fi
}

mode=${1:-}
[ $# -gt 0 ] && shift
case $mode in
check) check "$@" ;;
install) install_missing "$@" ;;
python) find_python "${1:-test}" ;;
*)
	echo "usage: make/deps.sh check|install GROUP..." >&2
	exit 2
	;;
esac
