#!/usr/bin/env bash
# Times orchestrator and its peers against sshds of its own on loopback, and
# prints the tables of docs/performance.md. Try `scripts/bench.sh --help`.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

exec python3 "$(dirname -- "${BASH_SOURCE[0]}")/../benches/peers" "$@"
