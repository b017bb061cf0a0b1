#!/bin/bash
# Complete the folder that `make bundle` has linked its programs into: what they need of this machine,
# what the tests read, and how to use it.
#   make/bundle.sh FOLDER
# From the environment: CC, VERSION, BUNDLE_CUDA=1 (CUDA's and NCCL's libraries too, some 800 MB),
# BUNDLE_DNNL=1 (oneDNN too, 38 MiB), CUDA_LIB (where CUDA's libraries are).
set -euo pipefail
out=$1
cd "$(dirname "$0")/.."
mkdir -p "$out/lib" "$out/licenses"

programs=("$out"/bin/patchbay "$out"/bin/tests/*/test_* "$out"/bin/bench/*)
strip --strip-unneeded "${programs[@]}" "$out"/bin/*.so "$out"/lib/libpatchbay.so*

# The node's own: the C library, and what belongs to its GPUs and its launcher.
is_theirs() {
	case $1 in
	ld-linux*.so.* | libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.*) return 0 ;;
	libcuda.so.* | libcublas*.so.* | libnccl.so.* | libmpi.so.*) return 0 ;;
	esac
	return 1
}
needed() { # FILE: the names of the libraries that it is linked to
	readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'
}
# A libcurl with the version of the one that this HDF5 asks for.
make_no_curl() { # FILE THAT NEEDS IT
	local version
	version=$(readelf -V "$1" | awk '/File: libcurl/ { found = 1; next } found && /Name: / { sub(/.*Name: /, ""); sub(/ .*/, ""); print; exit }')
	if [ -n "$version" ]; then
		echo "$version { global: curl_*; local: *; };" >"$out/lib/curl.map"
	else
		echo '{ global: curl_*; local: *; };' >"$out/lib/curl.map"
	fi
	${CC:-cc} -shared -fPIC -Os -s -Wl,-soname,libcurl.so.4 -Wl,--version-script="$out/lib/curl.map" \
		-o "$out/lib/libcurl.so.4" make/no_curl.c
	rm "$out/lib/curl.map"
}
# where the loader finds each name, as NAME PATH lines
places=$(for file in "${programs[@]}" "$out"/bin/*.so; do ldd "$file" 2>/dev/null; done |
	awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | sort -u)
place_of() {
	awk -v name="$1" '$1 == name { print $2; exit }' <<<"$places"
}

licence_of() { # FILE: the licence of the Debian package that it comes from
	local package
	package=$(dpkg -S "*/$(basename "$(realpath "$1")")" 2>/dev/null | head -n 1 | cut -d: -f1) || true
	if [ -n "$package" ] && [ -f "/usr/share/doc/$package/copyright" ]; then
		cp -L "/usr/share/doc/$package/copyright" "$out/licenses/$package.txt"
	else
		echo "make bundle: $1: its licence was not found: put it into $out/licenses before you pass the folder on" >&2
	fi
}
take() { # FILE NAME
	cp -L "$1" "$out/lib/$2"
	chmod 755 "$out/lib/$2"
	licence_of "$1"
}
queue=("${programs[@]}" "$out"/bin/libpatchbay_cuda.so "$out"/lib/libpatchbay.so)
while [ ${#queue[@]} -gt 0 ]; do
	file=${queue[0]}
	queue=("${queue[@]:1}")
	[ -e "$file" ] || continue
	for name in $(needed "$file"); do
		if is_theirs "$name" || [ -e "$out/lib/$name" ]; then
			continue
		elif [ "$name" = libcurl.so.4 ]; then
			make_no_curl "$file"
			continue
		fi
		path=$(place_of "$name")
		[ -n "$path" ] || { echo "make bundle: $name, which $file needs, is nowhere" >&2; exit 1; }
		take "$path" "$name"
		queue+=("$path")
	done
done
loader_path() { # PATTERN: a library of this machine that no program here is linked to
	{ ls -d "${CUDA_LIB:-/nowhere}"/$1 2>/dev/null || true; ldconfig -p | awk '{ print $NF }' | grep -E "/${1//\*/.*}\$" || true; } | head -n 1
}
if [ -n "${BUNDLE_DNNL:-}" ]; then
	path=$(loader_path 'libdnnl.so.[0-9]')
	take "$path" "$(basename "$path")"
	path=$(ldd "$path" | awk '/libOpenCL/ { print $3 }')
	[ -z "$path" ] || take "$path" "$(basename "$path")"
fi
if [ -n "${BUNDLE_CUDA:-}" ]; then
	for name in $(needed "$out/bin/libpatchbay_cuda.so" | grep '^libcublas') libnccl.so.2; do
		path=$(loader_path "$name")
		[ -n "$path" ] || { echo "make bundle: $name is nowhere: leave BUNDLE_CUDA out" >&2; exit 1; }
		take "$path" "$name"
	done
fi

# What the programs and the tests read, where the tests look for it.
copy() {
	cp -r --parents "$@" "$out"
}
copy LICENSE configs data/boxbench data/README.md docs bench/*.sh bench/*.py tests/gpu \
	tests/backend/run_emu.sh tests/golden/{engine,sweeps,families} tests/golden/*.sh tests/golden/*.py
find "$out" -name __pycache__ -prune -exec rm -r {} +
for script in test-gpu:tests/gpu/test_gpu.sh bench-gpu:bench/bench_gpu.sh; do
	cat >"$out/${script%%:*}" <<-END
		#!/bin/bash
		cd "\$(dirname "\$0")" || exit 1
		BUILD=bin PATCHBAY=\$PWD/bin/patchbay exec ${script#*:} "\$@"
	END
	chmod 755 "$out/${script%%:*}"
done
cat >"$out/README.txt" <<-END
	Patchbay ${VERSION:-} for $(uname -m), to be put anywhere and run from there.

	  bin/patchbay run configs/box-demo.yaml      the demo: configs/ has more
	  bin/patchbay doctor                         what this machine offers, and what is missing
	  ./test-gpu                                  tests of the cuda backend (Python with numpy and h5py)
	  ./bench-gpu                                 the sweep at GPT-2's shapes

	It needs glibc $(for f in "$out"/bin/patchbay "$out"/bin/*.so "$out"/lib/*.so*; do readelf -V "$f"; done |
		grep -o 'GLIBC_2\.[0-9.]*' | sort -Vu | tail -n 1 | cut -d_ -f2) or later. $(
		if [ -n "${BUNDLE_CUDA:-}" ]; then
			echo "CUDA's libraries and NCCL are in lib/; the driver is the machine's."
		else
			echo "CUDA's libraries ($(needed "$out/bin/libpatchbay_cuda.so" 2>/dev/null | grep '^libcublas' | tr '\n' ' ')and, for several GPUs, libnccl.so.2), the driver and MPI are the machine's: load its modules."
		fi
	)
	The cpu backend multiplies by $([ -n "${BUNDLE_DNNL:-}" ] && echo "oneDNN" || echo "oneDNN where the machine has libdnnl.so, else by code of its own").
	licenses/ has the licences of the libraries in lib/.
END
chmod 644 "$out/README.txt"
bytes=$(du -sb "$out" | cut -f1)
echo "$out: $((bytes / 1048576)) MiB"
if [ -z "${BUNDLE_CUDA:-}${BUNDLE_DNNL:-}" ] && [ "$bytes" -gt $((40 * 1048576)) ]; then
	echo "make bundle: that is more than 40 MiB" >&2
	exit 1
fi
