#!/bin/bash
# The exporter on this host, without a guard: what a tick of the history, the hour, a 30-day question, a report and a scrape cost
# (bench/history.c, bench/scrape.c). In memory where there is room, so that the disk of the machine is not what is measured.
#
# ./dev bench history
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

if [ -w /dev/shm ]; then WORK=$(mktemp -d -p /dev/shm); else WORK=$(mktemp -d); fi
trap 'rm -rf "$WORK"' EXIT

build/bench/bench-history -d 30 "$WORK"
rm -f "$WORK"/*
build/bench/bench-scrape "$WORK"
