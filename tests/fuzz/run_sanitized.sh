#!/usr/bin/env bash
# Builds the kernel with AddressSanitizer and UndefinedBehaviorSanitizer beside the normal one and runs tests on it; the first
# thing that they report ends the run. From anywhere:
#
#   tests/fuzz/run_sanitized.sh [pytest arguments]      (default: the tests of the kernel, of storage and of crashes)
#
# PYTHON names the interpreter (with the test dependencies), CXX the compiler, JOBS how many compile at once. Leaks are not looked
# for: Python keeps what it has to the end. Without the sanitizers' runtime libraries this says so and does nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
python="${PYTHON:-.venv/bin/python}"
compiler="${CXX:-g++}"
folder=build/sanitized
sanitizers="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-sanitize=vptr"
address="$("$compiler" -print-file-name=libasan.so)" undefined="$("$compiler" -print-file-name=libubsan.so)"
if [ ! -e "$address" ] || [ ! -e "$undefined" ]; then
  echo "!! SKIPPED: no AddressSanitizer: $compiler has no libasan.so and libubsan.so (Debian: apt-get install libasan8 libubsan1)" >&2
  exit 0
fi

make --no-print-directory -s -j "${JOBS:-$(nproc)}" -f tests/fuzz/instrumented.mk PYTHON="$python" FOLDER="$folder" CXX="$compiler" \
  INSTRUMENT="$sanitizers" binding

[ $# -gt 0 ] || set -- tests/kernel tests/storage tests/crash
LD_PRELOAD="$address $undefined" ASAN_OPTIONS="detect_leaks=0:abort_on_error=1" UBSAN_OPTIONS="print_stacktrace=1" \
  PYTHONPATH="$folder/lib" PYTHONMALLOC=malloc \
  exec "$python" -m pytest -p no:cacheprovider --timeout=900 "$@"
