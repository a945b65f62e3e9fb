#!/bin/bash
# shape "docker-cgroupfs": dockerd writes cgroups itself, behind systemd's back
#
#   tenant-warm/<id>   64 MB, 50 pids, half a CPU
set -euo pipefail
. /run/vm/lib/image.sh
. /run/vm/lib/docker.sh
start_docker cgroupfs
import_bb
start_warm_container /tenant-warm
