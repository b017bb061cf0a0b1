# Spack: `spack dev-build -d /path/to/patchbay patchbay@0.1.0`, with this file as
# packages/patchbay/package.py of a repository of yours.
from spack.package import *


class Patchbay(MakefilePackage):
    """Exhaustive, exact activation patching of transformer language models."""

    license("MIT")

    version("0.1.0")

    variant("mpi", default=True, description="Several processes of one run")
    variant("cuda", default=False, description="The cuda backend")

    depends_on("c", type="build")
    depends_on("gmake@4.2:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("hdf5@1.10: +hl~mpi")
    depends_on("jansson")
    depends_on("libfyaml")
    depends_on("cairo+fc+pdf+png")
    depends_on("fontconfig")
    depends_on("pcre2+jit")
    depends_on("utf8proc")
    depends_on("openssl")
    depends_on("isa-l")
    depends_on("onednn@2.6:2")
    depends_on("mpi", when="+mpi")
    depends_on("cuda@12:", when="+cuda")
    depends_on("nccl", when="+cuda+mpi", type="run")

    conflicts("%gcc@:10", msg="C11 atomics and attributes of gcc 11")

    def flags(self):
        onednn = self.spec["onednn"].prefix
        flags = [
            f"DNNL_CFLAGS=-I{onednn.include}",
            f"DNNL_LIBS=-L{onednn.lib} -ldnnl",
            f"MPI_CFLAGS={self.spec['mpi'].headers.include_flags if '+mpi' in self.spec else ''}",
            f"MPI_LIBS={self.spec['mpi'].libs.ld_flags if '+mpi' in self.spec else ''}",
        ]
        flags.append(f"NVCC={self.spec['cuda'].prefix.bin.nvcc}" if "+cuda" in self.spec else "NVCC=")
        return flags

    def build(self, spec, prefix):
        make("build", *self.flags())

    def install(self, spec, prefix):
        make("install", f"PREFIX={prefix}", *self.flags())
