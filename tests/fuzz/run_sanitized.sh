#!/bin/sh
# Builds the kernel with AddressSanitizer and UndefinedBehaviorSanitizer beside the normal one and runs tests on it; the
# first thing that they report ends the run. From the root of the repository, after `make dev` (which generates the
# binding's C++):
#
#   tests/fuzz/run_sanitized.sh [pytest arguments]      (default: the kernel's tests and the fuzz tests)
#
# PYTHON names the interpreter (with the test dependencies), CXX the compiler, JOBS how many run at once,
# SANITIZED_BUILD the folder (default build/sanitized). Leaks are not looked for: Python keeps what it has to the end.
set -eu
python="${PYTHON:-python3}"
compiler="${CXX:-g++}"
folder="${SANITIZED_BUILD:-build/sanitized}"
kernel=src/slipstream/kernel
include="$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
suffix="$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')"
sanitizers="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-sanitize=vptr"
flags="-std=c++20 -O0 -g1 -fPIC -fno-omit-frame-pointer -fvisibility=hidden -UNDEBUG -I$kernel/src -I$include"
[ -f $kernel/_kernel.cpp ] || { echo "run 'make dev' first" >&2; exit 1; }

mkdir -p "$folder/objects" "$folder/lib"
rm -rf "$folder/lib/slipstream"
cp -R src/slipstream "$folder/lib/"
# The generated binding is large and no concern of ours: it is compiled plainly.
{
  echo "$kernel/_kernel.cpp"
  for source in $kernel/src/*.cpp; do echo "$source $sanitizers"; done
} | xargs -P "${JOBS:-2}" -I{} sh -c 'set -- {}; source=$1; shift
  '"$compiler $flags"' "$@" -c "$source" -o "'"$folder"'/objects/$(basename "$source" .cpp).o"'
$compiler -shared $sanitizers -pthread "$folder"/objects/*.o -o "$folder/lib/slipstream/kernel/_kernel$suffix"

[ $# -gt 0 ] || set -- tests/kernel tests/fuzz
LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)" \
  ASAN_OPTIONS="detect_leaks=0:abort_on_error=1" UBSAN_OPTIONS="print_stacktrace=1" \
  PYTHONPATH="$folder/lib" PYTHONMALLOC=malloc \
  exec "$python" -m pytest -p no:cacheprovider --timeout=600 "$@"
