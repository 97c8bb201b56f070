#!/usr/bin/env bash
# Coverage-guided fuzzing (libFuzzer) of the kernel's parsers and recoveries, each target for so many seconds:
#
#   tests/fuzz/run_coverage_guided.sh [seconds [target ...]]      (default: 10, all of tests/fuzz/targets)
#
# Inputs that reached something new stay in build/coverage/corpus and are where the next run begins; what ends a target is kept
# in tests/fuzz/corpora/<target>, which is part of the repository: each run tries these first. CLANG names the compiler, JOBS how
# many compile at once. Without clang and its runtime library this says so and does nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds="${1:-10}"
[ $# -gt 0 ] && shift
clang="${CLANG:-clang++}"
folder=build/coverage
# The check of functions called by pointers is left out: clang 14 cannot assemble it for coroutines.
instrument="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-sanitize=vptr,function"

probe="$(mktemp -d)"
trap 'rm -rf "$probe"' EXIT
echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' > "$probe/probe.cpp"
if ! "$clang" -std=c++20 -fsanitize=fuzzer,address "$probe/probe.cpp" -o "$probe/probe" 2>"$probe/why"; then
  echo "!! SKIPPED: no coverage-guided fuzzing: $clang cannot link -fsanitize=fuzzer" \
    "($(head -1 "$probe/why")); Debian: apt-get install clang libclang-rt-dev" >&2
  exit 0
fi

make --no-print-directory -s -j "${JOBS:-$(nproc)}" -f tests/fuzz/instrumented.mk FOLDER="$folder" CXX="$clang" \
  INSTRUMENT="$instrument" LINK=-fsanitize=fuzzer targets

[ $# -gt 0 ] || for source in tests/fuzz/targets/*.cpp; do
  name="$(basename "$source" .cpp)"
  [ "$name" = checksums_that_match ] || set -- "$@" "$name"
done
failed=0
for target in "$@"; do
  corpus="$folder/corpus/$target" kept="tests/fuzz/corpora/$target"
  mkdir -p "$corpus" "$folder/findings"
  set -- -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
    -artifact_prefix="$folder/findings/$target-"
  [ -f "tests/fuzz/targets/$target.dict" ] && set -- "$@" -dict="tests/fuzz/targets/$target.dict"
  [ -d "$kept" ] && set -- "$@" "$corpus" "$kept" || set -- "$@" "$corpus"
  began=$SECONDS
  if UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_leaks=0 "$folder/$target" "$@" > "$folder/$target.log" 2>&1; then
    echo "$target: $((SECONDS - began)) s, $(find "$corpus" -type f | wc -l) inputs, nothing found"
  else
    failed=1
    echo "FINDING $target:"
    grep -v '^Dictionary\|^INFO' "$folder/$target.log" | tail -60
  fi
done
exit $failed
