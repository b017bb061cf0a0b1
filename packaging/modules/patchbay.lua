-- An Lmod modulefile: put it at MODULEPATH/patchbay/0.1.0.lua, after `make install PREFIX=...`.
local version = "0.1.0"
local prefix = pathJoin("/opt/software/patchbay", version)

whatis("Name: patchbay")
whatis("Version: " .. version)
whatis("Description: exhaustive, exact activation patching of transformer language models")
help([[`patchbay doctor` says what a node offers; `patchbay submit` writes SLURM scripts.]])

-- what it was built with:
-- depends_on("gcc/12", "hdf5/1.14-serial", "openmpi/4.1", "cuda/13.0")

prepend_path("PATH", pathJoin(prefix, "bin"))
prepend_path("LD_LIBRARY_PATH", pathJoin(prefix, "lib"))
prepend_path("PKG_CONFIG_PATH", pathJoin(prefix, "lib/pkgconfig"))
prepend_path("MANPATH", pathJoin(prefix, "share/man"))
