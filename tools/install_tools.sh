#!/usr/bin/env bash
# Installs what some tests use when it is there, into .tools/bin of this clone and nowhere else:
#   nats   the CLI of NATS, for the CLI part of README's tour
# What cannot be installed is said aloud, and the tests that need it are skipped with the same reason.
set -euo pipefail
cd "$(dirname "$0")/.."

NATS_CLI=github.com/nats-io/natscli/nats
NATS_CLI_VERSION=v0.5.1  # needs Go 1.26; Go 1.21 and newer fetch that toolchain themselves
BIN="$PWD/.tools/bin"

skip() { printf '!! SKIPPED: the nats CLI is not installed, its tests will not run: %s\n' "$*" >&2; exit 0; }

if [ -x "$BIN/nats" ]; then
  echo "nats CLI: $("$BIN/nats" --version) in .tools/bin"
  exit 0
fi
command -v go >/dev/null || skip "there is no Go compiler here (https://go.dev/dl)"

mkdir -p "$BIN"
echo "nats CLI: building $NATS_CLI@$NATS_CLI_VERSION with $(go version | cut -d' ' -f3)"
GOBIN="$BIN" GOFLAGS= go install "$NATS_CLI@$NATS_CLI_VERSION" || skip "go install failed (see above)"
echo "nats CLI: $("$BIN/nats" --version) in .tools/bin"
