# Builds the numerics binary in the current directory, for any compiler and optimisation level:
#   make -f .../tests/numerics/numerics.mk ROOT=/path/to/isobit CC=clang OPT=-O0
# SRC, when given, replaces ROOT/src (system/test_sabotage.py compiles changed copies).
# The flags of each instruction set are those of cmake/kernels.cmake.
SRC ?= $(ROOT)/src
OPT ?= -O3
TARGET := $(shell $(CC) -dumpmachine)
CFLAGS := -std=c17 -D_GNU_SOURCE $(OPT) -ffp-contract=off -fno-fast-math -fno-math-errno \
          -I$(SRC) -I$(ROOT)/include -Igenerated -MMD -MP

# Everything that computes; nothing that needs a library.
common := $(addprefix base/,threads limits arena atomic file folder input json_text nearest number \
            status text text_stream) tensor/tensor \
          $(patsubst $(SRC)/%.c,%,$(wildcard $(addprefix $(SRC)/,catalog/*.c catalog/*/*.c \
            backend/*.c backend/ops/*.c backend/cpu/*.c nn/layers/*.c))) \
          $(filter-out nn/onnx_graph,$(patsubst $(SRC)/%.c,%,$(wildcard $(SRC)/nn/*.c))) \
          $(addprefix model/,model steps) $(addprefix svm/,kernel cache solver train predict model)
ref := $(patsubst $(SRC)/backend/cpu/ref/%.c,%,$(wildcard $(SRC)/backend/cpu/ref/*.c))
kernels := $(patsubst $(SRC)/backend/cpu/kernels/%.c,%,$(wildcard $(SRC)/backend/cpu/kernels/*.c))

objects := $(common:%=common/%.o)
ifneq ($(findstring x86_64,$(TARGET)),)
sets := ref soft avx2 avx512
else
sets := ref neon
endif
objects += $(foreach set,$(filter ref soft,$(sets)),$(ref:%=$(set)/%.o))
objects += $(foreach set,$(filter-out ref soft,$(sets)),$(kernels:%=$(set)/%.o))

ref_flags := -DIB_REF_HARDWARE_FMA=1 $(if $(filter soft,$(sets)),-mfma)
soft_flags := -DIB_REF_HARDWARE_FMA=0
avx2_flags := -DIB_ISA_AVX2=1 -mavx2 -mfma -mtune=haswell
avx512_flags := -DIB_ISA_AVX512=1 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma \
                -mprefer-vector-width=512 -mtune=skylake-avx512
neon_flags := -DIB_ISA_NEON=1

numerics: numerics.o no_onnx.o plain_yaml.o $(objects)
	$(CC) $(OPT) $(filter %.o,$^) $(LDFLAGS) -pthread -lm -o $@

# The list of layers, as cmake/layers.cmake makes it of the folder.
layers := $(patsubst $(SRC)/nn/layers/%.c,%,$(wildcard $(SRC)/nn/layers/*.c))
generated/layer_kinds.inc: $(wildcard $(SRC)/nn/layers/*.c)
	@mkdir -p generated
	printf 'IB_LAYER(%s)\n' $(layers) >$@

# The networks, as cmake/networks.cmake makes them of the folder.
networks := $(wildcard $(SRC)/catalog/networks/*.yaml)
network_id = $$(basename $$path .yaml | tr a-z- A-Z_)
generated/networks.inc: $(networks)
	@mkdir -p generated
	for path in $(networks); do \
	  printf 'IB_NETWORK(%s, "%s")\n' $(network_id) $$(basename $$path .yaml); done >$@
generated/network_texts.inc: $(networks)
	@mkdir -p generated
	for path in $(networks); do printf 'static const char TEXT_%s[] = {' $(network_id); \
	  od -An -v -tu1 $$path | sed 's/\([0-9][0-9]*\)/\1,/g'; echo '0};'; done >$@

generated := $(addprefix generated/,layer_kinds.inc networks.inc network_texts.inc)
numerics.o no_onnx.o plain_yaml.o: %.o: $(ROOT)/tests/numerics/%.c $(generated)
	$(CC) $(CFLAGS) -c $< -o $@

common/%.o: $(SRC)/%.c | $(generated)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c $< -o $@

define set_rule
$(1)/%.o: $(SRC)/backend/cpu/$(2)/%.c
	@mkdir -p $(1)
	$$(CC) $$(CFLAGS) $$($(1)_flags) -c $$< -o $$@
endef
$(foreach set,$(filter ref soft,$(sets)),$(eval $(call set_rule,$(set),ref)))
$(foreach set,$(filter-out ref soft,$(sets)),$(eval $(call set_rule,$(set),kernels)))

-include $(objects:.o=.d) numerics.d no_onnx.d plain_yaml.d
