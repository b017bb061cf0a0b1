#!/bin/bash
# `make bundle`: a folder under 40 MiB that works from anywhere, with an empty environment and on a
# system that has nothing but the C library.
#   tests/install/test_bundle.sh
# BUILD, PATCHBAY, PYTHON. PB_TEST_DEBOOTSTRAP=1: also in a Debian as debootstrap makes it (root,
# network).
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build/release}
patchbay=${PATCHBAY:-$build/patchbay}
python=${PYTHON:-python3}
temp=$(mktemp -d) || exit 1
finish() {
	umount "$temp/root/proc" "$temp/debian/proc" 2>/dev/null
	rm -rf --one-file-system "$temp"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0 skipped=0

check() { # LABEL COMMAND...
	local label=$1
	shift
	if "$@" >"$temp/log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $label"
		tail -n 30 "$temp/log" | sed 's/^/  /'
	fi
}
skip() { # LABEL WHY
	skipped=$((skipped + 1))
	echo "skipped: $1: $2"
}
case $build in
*asan*)
	skip "bundle" "a sanitizer build"
	echo "$passed passed, $failed failed, $skipped skipped"
	exit 0
	;;
esac

check "make bundle" make -s bundle BUNDLE="$temp/made"
grep -v 'MiB$' "$temp/log"
# elsewhere, below a name with a blank
mkdir "$temp/else where"
mv "$temp/made" "$temp/else where/bundle"
bundle="$temp/else where/bundle"
small() {
	local bytes
	bytes=$(du -sb "$bundle" | cut -f1)
	echo "$bytes bytes"
	[ "$bytes" -lt $((40 << 20)) ]
}
check "smaller than 40 MiB" small
cat >"$bundle/small.yaml" <<-END
	model: {path: data/boxbench}
	task: {name: box, boxes: 3, moves: 1, pairs: 4}
	sweep: {intervention: patch, site: z, direction: denoise, positions: all}
END
"$patchbay" run "$bundle/small.yaml" -o "$temp/expected.h5" -q --threads 1 >/dev/null
PB_CPU_PRODUCTS=plain "$patchbay" run "$bundle/small.yaml" -o "$temp/expected-plain.h5" -q --threads 1 >/dev/null

# All libraries come from the bundle, but for the node's own.
own_libraries() {
	local file strangers=''
	for file in "$bundle/bin/patchbay" "$bundle"/bin/tests/*/test_* "$bundle"/bin/bench/*; do
		strangers+=$(env -i LD_TRACE_LOADED_OBJECTS=1 "$file" | grep '=>' | grep -vF "$bundle/" |
			grep -vE '(libc|libm|libdl|libpthread|librt|libresolv)\.so|linux-vdso')
	done
	echo "$strangers"
	[ -z "$strangers" ]
}
check "libraries are its own" own_libraries
runs() { # OUTPUT COMMAND...: the bundle's program, in its folder
	local out=$1
	shift
	(cd "$bundle" && env -i "$@" bin/patchbay run small.yaml -o "$out" -q --threads 1 &&
		env -i "$@" bin/patchbay verify "$out" >/dev/null)
}
check "a run with an empty environment" runs "$temp/empty.h5"
check "the same bits" "$python" tests/golden/compare_backends.py "$temp/empty.h5" "$temp/expected.h5" 0
check "an op test with an empty environment" env -i "$bundle/bin/tests/backend/test_ops_gemm"
if [ -e "$bundle/bin/libpatchbay_cuda.so" ]; then
	finds_plugin() { # without a driver that is what it lacks; with one it is used
		env -i "$bundle/bin/patchbay" doctor | tee /dev/stderr | grep '^backend cuda' | grep -v 'this build has no'
	}
	check "it finds its cuda backend" finds_plugin
	says_why() {
		"$bundle/test-gpu" >"$temp/gpu" 2>&1
		cat "$temp/gpu"
		grep -qE '^(no GPU: |on )' "$temp/gpu" && tail -n 1 "$temp/gpu" | grep -qE '^[0-9]+ passed, 0 failed'
	}
	case $(env -i "$bundle/bin/patchbay" doctor) in
	*'backend cuda  not usable'*) check "test-gpu skips where there is no GPU, and says why" says_why ;;
	*) skip "test-gpu without a GPU" "there is one" ;;
	esac
	check "bench-gpu does, too" "$bundle/bench-gpu"
fi
# Its tests and goldens, run from there; the emulated device stands in for a GPU.
emulated() {
	cp -r "$bundle" "$temp/emulated" && cp "${PB_EMU_DIR:-build/emu}/libpatchbay_cuda_emulated.so" "$temp/emulated/bin" &&
		cd "$temp/emulated" && BUILD=bin PB_EMU_DIR=bin tests/backend/run_emu.sh gemm norm activation &&
		PATCHBAY=$PWD/bin/patchbay tests/golden/run_engine.sh gpt2_outliers gpt_neox_parallel
}
check "its tests run from there" bash -c "$(declare -f emulated); bundle='$bundle' temp='$temp' PB_EMU_DIR=$(realpath "${PB_EMU_DIR:-build/emu}") emulated"
licensed() { # every library that was taken has its package's licence beside it
	[ "$(ls "$bundle/licenses" | wc -l)" -ge 10 ] && ! grep -r 'its licence was not found' "$temp/made.log"
}
check "make bundle again" make -s bundle BUNDLE="$temp/again"
cp "$temp/log" "$temp/made.log"
check "licences" licensed

# A root folder with nothing but the C library.
bare() {
	local root=$temp/root file
	mkdir -p "$root"/{lib64,usr,proc,dev,tmp}
	for file in $(env -i LD_TRACE_LOADED_OBJECTS=1 "$bundle/bin/patchbay" | grep -oE '/(usr/)?lib[^ ]*/(libc|libm|libdl|libpthread|librt|libresolv)\.so\.[0-9]+'); do
		mkdir -p "$root$(dirname "$file")" && cp -L "$file" "$root$file" || return 1
	done
	cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/" && cp -r "$bundle" "$root/bundle" && : >"$root/dev/null" || return 1
	# the loader finds where a program lies by /proc
	mount -t proc proc "$root/proc" || return 1
	chroot "$root" /bundle/bin/patchbay doctor &&
		chroot "$root" /bundle/bin/patchbay run /bundle/small.yaml --set model.path=/bundle/data/boxbench -o /tmp/bare.h5 -q --threads 1 &&
		"$python" tests/golden/compare_backends.py "$root/tmp/bare.h5" "$temp/expected-plain.h5" 0
}
can_mount() {
	[ "$(id -u)" -eq 0 ] && [ "$(uname -m)" = x86_64 ] && mkdir -p "$temp/try" &&
		mount -t proc proc "$temp/try" 2>/dev/null && umount "$temp/try"
}
if can_mount; then
	check "a system with nothing but the C library" bare
else
	skip "a system with nothing but the C library" "not root, or mounts are not allowed"
fi
debian() {
	local root=$temp/debian
	debootstrap --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" || return 1
	cp -r "$bundle" "$root/opt/bundle" && mount -t proc proc "$root/proc" || return 1
	chroot "$root" /opt/bundle/bin/patchbay doctor &&
		chroot "$root" sh -c 'cd /opt/bundle && bin/patchbay run small.yaml -o /tmp/out.h5 -q --threads 1 && bin/tests/backend/test_ops_norm && ./test-gpu' &&
		"$python" tests/golden/compare_backends.py "$root/tmp/out.h5" "$temp/expected-plain.h5" 0
}
if [ -n "${PB_TEST_DEBOOTSTRAP:-}" ]; then
	check "a Debian from debootstrap" debian
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
