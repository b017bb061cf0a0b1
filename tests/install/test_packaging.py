#!/usr/bin/env python3
"""The recipes of packaging/ parse, and say what the Makefile, VERSION and make/packages.debian say.

They are not built here: that needs a container runtime, Spack or conda.
"""
import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PACKAGING = TOP / "packaging"
VERSION = (TOP / "VERSION").read_text().strip()
MAKEFILE = (TOP / "Makefile").read_text()
passed = failed = skipped = 0


def check(name, ok, detail=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print(f"FAILED: {name}: {detail}")


def skip(name, why):
    global skipped
    skipped += 1
    print(f"{name}: skipped: {why}")


def text(name):
    return (PACKAGING / name).read_text()


def debian(group):
    rows = (TOP / "make/packages.debian").read_text().splitlines()
    return {row.split()[1] for row in rows if row.startswith(group + " ")}


def installs(recipe):
    """Packages of every apt-get install, without variables."""
    joined = re.sub(r"\\\n", " ", recipe)
    found = set()
    for call in re.findall(r"apt-get install ([^&\n]*)", joined):
        found |= {w for w in call.split() if not w.startswith(("-", "$"))}
    return found


def runtime_packages():
    """Of the libraries that the program and its MPI plugin are linked to, but for the C library."""
    build = TOP / os.environ.get("BUILD", "build/release")
    said = subprocess.run(["ldd", build / "patchbay", build / "libpatchbay_mpi.so"], text=True,
                          capture_output=True, check=False).stdout
    found = set()
    for soname in re.findall(r"^\s*(lib(?:hdf5|jansson|fyaml|pcre2|utf8proc|crypto|isal|gomp|mpi)\S*) => ", said, re.M):
        path = re.search(rf"{re.escape(soname)} => (\S+)", said).group(1)
        owner = subprocess.run(["dpkg", "-S", os.path.realpath(path)], text=True, capture_output=True,
                               check=False).stdout
        if owner:
            found.add(owner.split(":")[0])
    return found


def versions():
    for name in ("Dockerfile", "patchbay.def", "spack/package.py", "conda/meta.yaml", "modules/patchbay.lua"):
        found = set(re.findall(r"(?<![\d.])\d+\.\d+\.\d+(?![\d.])", text(name))) - {"13.0.0"}  # CUDA's image
        check(f"version in {name}", found == {VERSION}, f"{found}, VERSION is {VERSION}")
    check("version in README.md", f"patchbay/{VERSION}" in text("README.md"), VERSION)


def make_calls():
    targets = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.M))
    variables = set(re.findall(r"\b([A-Z][A-Z_0-9]*)\s*[?:]?=", MAKEFILE)) | {
        f"{m}_{part}" for m in ("DNNL", "MPI") for part in ("CFLAGS", "LIBS")}
    variables |= set(re.findall(r"\$\(([A-Z_]+)\)", MAKEFILE))
    for name in ("Dockerfile", "patchbay.def", "conda/meta.yaml", "README.md"):
        calls = re.findall(r"(?:^|RUN |- |&& |    )make (?!gcc )((?:(?!-|&)\S+ ?)+)", text(name), re.M)
        check(f"{name} calls make", calls, "no call found")
        for word in " ".join(calls).split():
            if re.match(r"[A-Z_]+=", word):
                check(f"{name}: {word}", word.split("=")[0] in variables, "no such variable")
            elif re.fullmatch(r"[a-z-]+", word):
                check(f"{name}: make {word}", word in targets, "no such target")


def debian_packages():
    for name in ("Dockerfile", "patchbay.def"):
        missing = debian("build") - installs(text(name))
        check(f"{name} installs what a build needs", not missing, missing)
    found = re.search(r'RUN_PACKAGES="([^"]*)"', text("Dockerfile")).group(1).replace("\\\n", " ").split()
    if not shutil.which("dpkg") or not (TOP / os.environ.get("BUILD", "build/release") / "libpatchbay_mpi.so").exists():
        skip("packages that a run needs", "no dpkg, or a build without MPI")
        return
    needed = runtime_packages()
    check("there are libraries", len(needed) > 5, needed)
    check("Dockerfile installs what a run needs", needed <= set(found), needed - set(found))


def syntax():
    spack = ast.parse(text("spack/package.py"))
    classes = [n.name for n in spack.body if isinstance(n, ast.ClassDef)]
    check("spack/package.py is Python with one class", classes == ["Patchbay"], classes)
    methods = {n.name for n in ast.walk(spack) if isinstance(n, ast.FunctionDef)}
    check("spack/package.py builds and installs", {"build", "install"} <= methods, methods)
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?", text("Dockerfile"), re.M)
    check("Dockerfile has two stages", len(stages) == 2 and stages[0][1] == "build", stages)
    known = {"ARG", "FROM", "RUN", "COPY", "WORKDIR", "LABEL", "ENV", "ENTRYPOINT", "CMD"}
    lines = re.sub(r"\\\n", " ", text("Dockerfile")).splitlines()
    words = {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}
    check("Dockerfile has instructions that there are", words <= known, words - known)
    sections = set(re.findall(r"^%(\w+)", text("patchbay.def"), re.M))
    check("patchbay.def has its sections", {"labels", "files", "post", "environment", "test", "runscript"} == sections, sections)
    try:
        import yaml
    except ImportError:
        skip("conda/meta.yaml", "no Python module yaml")
        return
    recipe = yaml.safe_load(text("conda/meta.yaml"))
    check("conda/meta.yaml names itself", recipe["package"] == {"name": "patchbay", "version": VERSION}, recipe["package"])
    check("what is linked is there at run time", recipe["requirements"]["host"] == recipe["requirements"]["run"])
    check("its source is this one", (PACKAGING / "conda" / recipe["source"]["path"]).resolve() == TOP)


versions()
make_calls()
debian_packages()
syntax()
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(failed > 0)
