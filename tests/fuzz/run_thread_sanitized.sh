#!/usr/bin/env bash
# Builds the kernel with ThreadSanitizer beside the normal one, and runs a server with all its threads under a mixed load for so
# many seconds. From anywhere:
#
#   tests/fuzz/run_thread_sanitized.sh [seconds]       (default: 60)
#
# First a deliberate race has to be reported, in the same way of running, or else silence would prove nothing. PYTHON names the
# interpreter (with Cython), CXX the compiler, JOBS how many compile at once. Without the sanitizer's runtime library it says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds="${1:-60}"
python="${PYTHON:-.venv/bin/python}"
compiler="${CXX:-g++}"
folder=build/threads
runtime="$("$compiler" -print-file-name=libtsan.so)"
if [ ! -e "$runtime" ]; then
  echo "!! SKIPPED: no ThreadSanitizer: $compiler has no libtsan.so (Debian: apt-get install libtsan2)" >&2
  exit 0
fi

make --no-print-directory -s -j "${JOBS:-$(nproc)}" -f tests/fuzz/instrumented.mk PYTHON="$python" FOLDER="$folder" CXX="$compiler" \
  INSTRUMENT=-fsanitize=thread binding
"$compiler" -std=c++20 -O1 -g1 -fPIC -fsanitize=thread -shared -pthread tests/fuzz/deliberate_race.cpp -o "$folder/deliberate_race.so"

export PYTHONPATH="$folder/lib:tests/fuzz" PYTHONDONTWRITEBYTECODE=1
options="halt_on_error=0:exitcode=66:report_signal_unsafe=0:detect_deadlocks=0:history_size=4"
options="$options:suppressions=$PWD/tests/fuzz/thread_sanitizer.suppressions"
# Addresses that are drawn too far apart do not fit into the sanitizer's shadow memory: setarch -R draws none.
watched=(setarch -R env LD_PRELOAD="$runtime" PYTHONMALLOC=malloc TSAN_OPTIONS="$options" "$python" tests/fuzz/threaded_server.py)

if "${watched[@]}" --race "$folder/deliberate_race.so" >"$folder/race.log" 2>&1; then
  cat "$folder/race.log"
  echo "the deliberate race was not reported: a run without reports would prove nothing" >&2
  exit 1
fi
if ! grep -q "data race" "$folder/race.log"; then
  if grep -q "unexpected memory mapping\|personality\|Operation not permitted" "$folder/race.log"; then
    echo "!! SKIPPED: ThreadSanitizer does not run here: $(head -1 "$folder/race.log")" >&2
    exit 0
  fi
  cat "$folder/race.log"
  exit 1
fi
echo "the deliberate race is reported; now the server, for $seconds s"
"$python" tests/fuzz/threaded_load.py "$seconds" "${watched[@]}" 2> >(tee "$folder/server.log" >&2)
