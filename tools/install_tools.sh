#!/usr/bin/env bash
# Installs what some tests use when it is there. Into .tools of this clone and nowhere else:
#   .tools/bin/nats     the CLI of NATS (needs Go)
#   .tools/javascript   the JavaScript client (needs Node and npm)
# and, where this is Debian and it may, the package libnats-dev: the C client.
# What cannot be installed is said aloud, and the tests that need it are skipped with the same reason.
set -euo pipefail
cd "$(dirname "$0")/.."

NATS_CLI=github.com/nats-io/natscli/nats
NATS_CLI_VERSION=v0.5.1  # needs Go 1.26; Go 1.21 and newer fetch that toolchain themselves
BIN="$PWD/.tools/bin"
JAVASCRIPT="$PWD/.tools/javascript"

skip() { printf '!! SKIPPED: %s is not installed, its tests will not run: %s\n' "$1" "$2" >&2; }

install_cli() {
  if [ -x "$BIN/nats" ]; then
    echo "nats CLI: $("$BIN/nats" --version) in .tools/bin"
    return
  fi
  command -v go >/dev/null || { skip "the nats CLI" "there is no Go compiler here (https://go.dev/dl)"; return; }
  mkdir -p "$BIN"
  echo "nats CLI: building $NATS_CLI@$NATS_CLI_VERSION with $(go version | cut -d' ' -f3)"
  GOBIN="$BIN" GOFLAGS= go install "$NATS_CLI@$NATS_CLI_VERSION" || { skip "the nats CLI" "go install failed (see above)"; return; }
  echo "nats CLI: $("$BIN/nats" --version) in .tools/bin"
}

install_javascript() {
  command -v npm >/dev/null || { skip "the JavaScript client" "there is no npm here (https://nodejs.org)"; return; }
  mkdir -p "$JAVASCRIPT"
  cp tests/clients/javascript/package.json tests/clients/javascript/package-lock.json "$JAVASCRIPT"
  (cd "$JAVASCRIPT" && npm ci --no-audit --no-fund --silent >/dev/null 2>"$JAVASCRIPT/npm.log") ||
    { skip "the JavaScript client" "npm ci failed: $(tail -1 "$JAVASCRIPT/npm.log")"; return; }
  echo "JavaScript client: in .tools/javascript"
}

install_c() {
  if [ ! -e /usr/include/nats/nats.h ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { skip "the C client" "install libnats-dev (this script may not)"; return; }
    { apt-get update -qq && apt-get install -qq -y --no-install-recommends libnats-dev; } >/dev/null 2>&1 ||
      { skip "the C client" "apt-get install libnats-dev failed"; return; }
  fi
  echo "C client: libnats-dev"
}

install_cli
install_javascript
install_c
