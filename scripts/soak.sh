#!/usr/bin/env bash
# The acceptance checks that run at reduced counts in scripts/test.sh, at their
# full counts. Takes some minutes on two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PATH="$PATH:/usr/sbin:/sbin"
export ORCHESTRATOR_SOAK=1

# Bit flips, rekeys, malformed packets, quoting, floods, both streams, large and
# changing files, cut and killed transfers, random policies, tampering, kill -9: see docs/acceptance.md.
exec cargo test --test it -- --test-threads 2 \
    check_05 check_07 check_08 check_17 check_20 check_21 check_33 check_39 check_40 check_58 audit:: known_hosts::differential
