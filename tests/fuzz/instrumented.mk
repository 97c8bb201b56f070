# The kernel's sources compiled with an instrumentation of the compiler's, into a folder of their own: objects are made side by
# side and used again. Included by nobody; the scripts of this folder call it:
#
#   make -f tests/fuzz/instrumented.mk FOLDER=build/threads CXX=g++ INSTRUMENT=-fsanitize=thread binding
#   make -f tests/fuzz/instrumented.mk FOLDER=build/coverage CXX=clang++ INSTRUMENT=... targets
KERNEL := src/slipstream/kernel
PYTHON ?= python3
CCACHE := $(shell command -v ccache)
OPTIMIZE ?= -O0
FLAGS = -std=c++20 $(OPTIMIZE) -g1 -fPIC -fno-omit-frame-pointer -fvisibility=hidden -UNDEBUG -I$(KERNEL)/src -MMD -MP
OBJECTS := $(patsubst $(KERNEL)/src/%.cpp,$(FOLDER)/objects/%.o,$(shell find $(KERNEL)/src -name '*.cpp'))
TARGETS := $(patsubst tests/fuzz/targets/%.cpp,$(FOLDER)/%,$(filter-out %/checksums_that_match.cpp,$(wildcard tests/fuzz/targets/*.cpp)))
SUFFIX = $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
INCLUDE = $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')

.PHONY: binding targets
.SECONDARY:
$(FOLDER)/binding:
	@mkdir -p $@

$(FOLDER)/objects/%.o: $(KERNEL)/src/%.cpp
	@mkdir -p $(@D)
	$(CCACHE) $(CXX) $(FLAGS) $(INSTRUMENT) -c $< -o $@

# The binding that Cython makes is large and no concern of ours: it is compiled plainly.
$(FOLDER)/binding/_kernel.cpp: $(KERNEL)/_kernel.pyx $(wildcard $(KERNEL)/*.pxi) | $(FOLDER)/binding
	$(PYTHON) -m cython --cplus -3 -X embedsignature=False,boundscheck=False,wraparound=False -o $@ $<
$(FOLDER)/binding/_kernel.o: $(FOLDER)/binding/_kernel.cpp
	$(CCACHE) $(CXX) $(FLAGS) -O0 -g0 -w -I$(INCLUDE) -c $< -o $@
binding: $(FOLDER)/binding/_kernel.o $(OBJECTS)
	@rm -rf $(FOLDER)/lib && mkdir -p $(FOLDER)/lib && cp -R src/slipstream $(FOLDER)/lib/
	$(CXX) -shared $(INSTRUMENT) -pthread $^ -o $(FOLDER)/lib/slipstream/kernel/_kernel$(SUFFIX)

# Targets of coverage-guided fuzzing; those of recovery get checksums that always match.
$(FOLDER)/targets/%.o: tests/fuzz/targets/%.cpp
	@mkdir -p $(FOLDER)/targets
	$(CCACHE) $(CXX) $(FLAGS) $(INSTRUMENT) -c $< -o $@
$(FOLDER)/journal_recovery $(FOLDER)/checkpoint_recovery: $(FOLDER)/%: $(FOLDER)/targets/%.o $(FOLDER)/targets/checksums_that_match.o $(filter-out %/crc32c.o,$(OBJECTS))
	$(CXX) $(INSTRUMENT) $(LINK) -pthread $^ -o $@
$(FOLDER)/%: $(FOLDER)/targets/%.o $(OBJECTS)
	$(CXX) $(INSTRUMENT) $(LINK) -pthread $^ -o $@
targets: $(TARGETS)

-include $(OBJECTS:.o=.d) $(wildcard $(FOLDER)/targets/*.d) $(FOLDER)/binding/_kernel.d
