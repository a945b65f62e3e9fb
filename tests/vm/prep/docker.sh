#!/bin/bash
# shape "docker": dockerd with the systemd cgroup driver, image bb, container warm
#
#   tenant.slice/tenant-warm.slice/docker-<id>.scope   64 MB, 50 pids, half a CPU
set -euo pipefail
. /run/vm/lib/image.sh
. /run/vm/lib/docker.sh
start_docker systemd
import_bb
start_warm_container tenant-warm.slice
