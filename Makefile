# moonwire. `make help` lists the targets.
#
# One rule set builds every variant, each in its own folder: VARIANT is empty (release, in build/),
# asan, tsan, fuzz or lint (in build/VARIANT/). V=1 shows the commands.

VARIANT ?=
B       := build$(VARIANT:%=/%)
PREFIX  ?= /usr/local
Q       := $(if $(V),,@)
# All processors, unless make was told how many.
JOBS     = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
CC      := gcc
SRC     := $(wildcard src/*/*.c src/*/*/*.c)
HEADERS := $(wildcard src/*/*.h src/*/*/*.h)
CORE    := $(wildcard src/base/*.c src/protocol/*.c)
LUA     := $(shell find lua -name '*.lua' -o -name '*.js' 2>/dev/null | LC_ALL=C sort)

# What Lua's ffi.cdef reads is what C includes: these headers, and those they include.
CDEF     := $(addprefix src/script/api,.h _client.h _control.h _options.h _names.h)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion \
            -Wno-sign-conversion
# LuaJIT raises errors through C frames: unwind tables must stay.
COMMON   := -std=c11 -D_GNU_SOURCE -Isrc -g -fstack-protector-strong -fasynchronous-unwind-tables \
            $(WARNINGS)
FORTIFY  := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2

OPTIMISE       = -O2 $(FORTIFY) -flto=auto
OPTIMISE_asan := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
                 -fno-sanitize-recover=undefined
OPTIMISE_tsan := -O1 -fno-omit-frame-pointer -fsanitize=thread
OPTIMISE_fuzz := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                 -fno-sanitize-recover=undefined
OPTIMISE_lint := -O2 $(FORTIFY) -Werror
ifdef VARIANT
OPTIMISE = $(OPTIMISE_$(VARIANT))
endif
ifeq ($(VARIANT),fuzz)
CC := clang
endif
ifeq ($(VARIANT),tsan)
EXTRA_OBJ = $(B)/obj/tsan_start.o
endif

# Looked up when used: the packages may not be there yet when the Makefile is read.
PKG_CFLAGS = $(shell pkg-config --cflags luajit openssl zlib libdeflate libidn2)
PKG_LIBS   = $(shell pkg-config --libs luajit openssl zlib libdeflate)
TLS_LIBS   = $(shell pkg-config --libs openssl)
CFLAGS    ?=
BUILD      = $(COMMON) $(OPTIMISE) $(PKG_CFLAGS) $(CFLAGS)
LDFLAGS   += -Wl,-z,relro,-z,now
LIBS       = $(PKG_LIBS) -lev -pthread -ldl -lm

OBJ      := $(SRC:src/%.c=$(B)/obj/%.o) $(B)/obj/gen/embedded.o $(EXTRA_OBJ)
CORE_OBJ := $(CORE:src/%.c=$(B)/obj/%.o)
# The engine's files that need no loop have specs of their own.
PURE     := $(wildcard src/transport/*.c src/engine/ground/site*.c) src/script/api_text.c \
            $(wildcard src/script/json*.c) \
            $(patsubst %,src/engine/%.c,conn/conn_slots ground/piece ground/pulse ground/outbound \
                ground/outbound_flush run/pauses reload/file reload/probation \
                reload/reload_requests)
SO_OBJ   := $(patsubst src/%.c,$(B)/so/%.o,$(CORE) $(PURE))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

##@ Build and run
all: layers $(B)/moonwire $(B)/libmoonwire-core.so ## Build build/moonwire (release)

run: ## Bring what is missing, build, and serve examples/chat
	@tools/packages build run
	@$(MAKE) --no-print-directory $(JOBS) all
	exec build/moonwire examples/chat/chat.lua

$(B)/moonwire: $(OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(BUILD) $(LDFLAGS) -pie -Wl,--export-dynamic-symbol='mw_*' -o $@.new $(OBJ) $(LIBS)
	@tools/check-binary $(if $(VARIANT),,--hardened) $@.new $(wildcard src/script/api*.h)
	@mv -f $@.new $@

# The protocol code for the specs, which call it through the FFI.
$(B)/libmoonwire-core.so: $(SO_OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(BUILD) $(LDFLAGS) -shared -o $@ $^ $(TLS_LIBS) -lz -ldeflate -ldl

$(B)/obj/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(BUILD) -fPIE -MMD -MP -c -o $@ $<

$(B)/obj/tsan_start.o: tools/tsan_start.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(BUILD) -fPIE -c -o $@ $<

$(B)/so/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(BUILD) -fno-lto -fPIC -MMD -MP -c -o $@ $<

$(B)/obj/gen/embedded.o: $(B)/gen/embedded.c src/script/embedded.h
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(BUILD) -fPIE -c -o $@ $<

# The list is its own prerequisite, so that a removed module is noticed too.
$(B)/gen/embedded.c: tools/embed.lua tools/private_names.lua $(HEADERS) $(LUA) $(B)/gen/modules
	@echo "  LUA   $@"
	$(Q)luajit tools/embed.lua $@ $(CDEF) $(LUA)

$(B)/gen/modules: FORCE
	@mkdir -p $(@D)
	@echo '$(LUA)' | cmp -s - $@ || echo '$(LUA)' > $@

-include $(OBJ:.o=.d) $(SO_OBJ:.o=.d)

##@ Test
SPECS ?= $(filter-out spec/browser/ spec/support/ spec/torture/ spec/node_modules/, \
             $(sort $(wildcard spec/*/)))
TSAN_SPECS ?= $(filter spec/main/ spec/server/ spec/client/ spec/reload/ spec/examples/,$(SPECS))
BUSTED = busted --lua=luajit $(BUSTED_FLAGS)

test: ## Bring what tests need, build, and run all specs (SPECS=spec/base for some)
	@tools/packages build test
	@$(MAKE) --no-print-directory $(JOBS) all spec/node_modules/.package-lock.json
	$(BUSTED) $(SPECS)

check: test lint layers ## test + lint + layers

browser: ## Run the browser specs (headless Chromium)
	@tools/packages build test browser
	@$(MAKE) --no-print-directory $(JOBS) all spec/node_modules/.package-lock.json
	$(BUSTED) spec/browser

# TORTURE=short: some seconds. 10,000 connections need as many files, here and in the server.
torture: ## Reload for a quarter of an hour under all kinds of load (TORTURE=short: seconds)
	@tools/packages build test
	@$(MAKE) --no-print-directory $(JOBS) all build/bench/load spec/node_modules/.package-lock.json
	@rm -f $(B)/torture.txt
	ulimit -n $$(ulimit -Hn) && MOONWIRE_TORTURE=$(TORTURE) $(BUSTED) $(TORTURE_SPECS)
	@echo && cat $(B)/torture.txt

TORTURE_SPECS ?= spec/torture

asan: ## Run the specs on a build with ASan and UBSan
	@tools/packages build test
	@$(MAKE) --no-print-directory $(JOBS) VARIANT=asan all spec/node_modules/.package-lock.json
	tools/sanitized asan $(BUSTED) $(SPECS)

tsan: ## Run the end-to-end specs on a build with TSan
	@tools/packages build test
	@$(MAKE) --no-print-directory $(JOBS) $(B)/libmoonwire-core.so spec/node_modules/.package-lock.json
	@$(MAKE) --no-print-directory $(JOBS) VARIANT=tsan build/tsan/moonwire
	tools/sanitized tsan $(BUSTED) $(TSAN_SPECS)

leaks: all ## 100,000 connects that fail: no memory, no descriptor is left
	MOONWIRE_SPEC_SECONDS=900 MOONWIRE_SPEC_CYCLES=100000 $(BUSTED) spec/client/leaks_spec.lua

spec/node_modules/.package-lock.json: spec/package.json spec/package-lock.json
	cd spec && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

fresh-check: ## From nothing: the two commands in a new Debian 12 (root; says more at its top)
	tools/fresh-check

##@ Fuzz and measure
FUZZ_SECONDS ?= 600
FUZZERS      := $(patsubst fuzz/%.c,%,$(wildcard fuzz/*.c))

fuzz: ## Run every fuzzer for FUZZ_SECONDS (600) each
	@tools/packages build fuzz
	@$(MAKE) --no-print-directory VARIANT=fuzz $(FUZZERS:%=fuzz-%)

fuzz-%: $(B)/%
	tools/fuzz $< $* $(FUZZ_SECONDS)

# The one of the transport that is pure, too.
build/fuzz/tls_record: $(patsubst %,build/fuzz/obj/transport/tls_%.o,ciphers pieces record traffic)
build/fuzz/tls_record: FUZZ_LIBS = -lcrypto
# And that of the script.
build/fuzz/json: $(patsubst %,build/fuzz/obj/script/%.o,json json_read json_write)
build/fuzz/json: FUZZ_LIBS = $(shell pkg-config --libs luajit)

$(FUZZERS:%=build/fuzz/%): build/fuzz/%: fuzz/%.c $(CORE_OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(BUILD) -fsanitize=fuzzer -o $@ $(filter %.c %.o,$^) $(FUZZ_LIBS) -lz -ldeflate -lm

bench: all $(B)/bench/raw $(B)/bench/load ## Measure against a raw TCP echo server
	bench/run

bench-peers: all $(B)/bench/raw $(B)/bench/load ## Measure beside other servers (npm, Debian)
	@! command -v apt-get >/dev/null || tools/packages peers || true
	bench/run --peers

bench-scaling: all $(B)/bench/load ## Count what workers share: instructions and locks per message
	@tools/packages scaling
	bench/scaling

.SECONDEXPANSION:
$(B)/bench/%: $$(wildcard bench/$$*.c bench/$$*/*.[ch])
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(BUILD) $(LDFLAGS) -pie -fPIE -o $@ $(filter %.c,$^) -lssl -lcrypto -lz -pthread -lm

##@ Look after the code
FORMATTED = $(wildcard src/*/*.[ch] src/*/*/*.[ch] tools/*.c fuzz/*.[ch] bench/*.[ch] bench/*/*.[ch])

format: ## Format the C code
	clang-format -i $(FORMATTED)

format-check: ## Fail if the C code is not formatted
	@tools/packages lint
	@clang-format --dry-run -Werror $(FORMATTED)

lint: ## luacheck, the house style, and a compile in which warnings are errors
	@tools/packages build lint
	luacheck -q lua spec examples tools bench
	@luajit tools/style.lua $(SRC) $(HEADERS) $(LUA)
	@$(MAKE) --no-print-directory $(JOBS) VARIANT=lint objects

objects: $(OBJ)

layers: ## Fail if a file knows one above it, or files know each other in a circle
	@luajit tools/layers.lua $(SRC) $(HEADERS)

compile_commands: ## Write compile_commands.json for editors
	@luajit tools/compile_commands.lua '$(CURDIR)' '$(CC) $(BUILD)' $(SRC) > compile_commands.json

##@ Install
SHARE = $(DESTDIR)$(PREFIX)/share
# Keys that an example made are this machine's.
NOT_SHARED = ! -name '*.pem' ! -name '*.key' ! -name .gitignore

install: all ## Install under PREFIX (/usr/local), below DESTDIR
	install -D -m 755 build/moonwire $(DESTDIR)$(PREFIX)/bin/moonwire
	for f in $$(find examples $(wildcard annotations) -type f $(NOT_SHARED)); do \
	    mode=644; [ ! -x $$f ] || mode=755; \
	    install -D -m $$mode $$f $(SHARE)/moonwire/$$f || exit 1; done
	$(if $(wildcard docs/moonwire.1),install -D -m 644 docs/moonwire.1 $(SHARE)/man/man1/moonwire.1)

uninstall: ## Remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/moonwire $(SHARE)/man/man1/moonwire.1
	rm -rf $(SHARE)/moonwire

clean: ## Remove everything that was built
	rm -rf build compile_commands.json

help: ## This list
	@awk -F ':.*## ' '/^##@/ {print "\n" substr($$0, 5)} \
	    /^[a-z_-]+:.*## / {printf "  %-18s%s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

FORCE:
.PHONY: all run test check browser torture leaks asan tsan fresh-check fuzz bench bench-peers \
        bench-scaling format format-check \
        lint objects layers compile_commands install uninstall clean help FORCE
