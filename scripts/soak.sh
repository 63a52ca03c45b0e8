#!/usr/bin/env bash
# The acceptance checks that run at reduced counts in scripts/test.sh, at their
# full counts. Takes an hour or more on two cores, and up to 64 GiB of disk below
# TMPDIR: never more than half of what is free.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PATH="$PATH:/usr/sbin:/sbin"
export ORCHESTRATOR_SOAK=1

# Bit flips, rekeys, malformed packets, quoting, floods, both streams, large and
# changing files, cut and killed transfers, random policies, tampering, kill -9: see docs/acceptance.md.
# And everything at once, with 20 GiB moved.
exec cargo test --test it -- --test-threads 2 \
    check_05 check_07 check_08 check_17 check_20 check_21 check_33 check_39 check_40 check_58 audit:: known_hosts::differential library::at_size
