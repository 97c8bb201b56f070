#!/bin/sh
# Builds the package with AddressSanitizer and UndefinedBehaviorSanitizer into a folder of its own and runs tests on
# it: what they report ends the run. From the root of the repository:
#
#   tests/fuzz/run_sanitized.sh [pytest arguments]      (default: the kernel's tests and the fuzz tests)
#
# PYTHON names the interpreter (with the test dependencies), SANITIZED_BUILD the folder (default build/sanitized).
# Leaks are not looked for: Python keeps what it has until the end.
set -eu
python="${PYTHON:-python3}"
folder="${SANITIZED_BUILD:-build/sanitized}"
flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-sanitize=vptr -fno-omit-frame-pointer"
CFLAGS="$flags" CXXFLAGS="$flags" LDFLAGS="-fsanitize=address,undefined" \
  "$python" setup.py --quiet build --build-temp "$folder/temp" --build-lib "$folder/lib"
[ $# -gt 0 ] || set -- tests/kernel tests/fuzz
export LD_PRELOAD="$(${CXX:-g++} -print-file-name=libasan.so) $(${CXX:-g++} -print-file-name=libubsan.so)"
export ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:handle_segv=1"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
export PYTHONPATH="$folder/lib" PYTHONMALLOC=malloc
exec "$python" -m pytest -p no:cacheprovider --timeout=600 "$@"
