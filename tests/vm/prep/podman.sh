#!/bin/bash
# shape "podman": image bb for root and for user tenant (uid 1000), one running container each
#
#   tenant.slice/tenant-warm.slice/libpod-<id>.scope                                     warm
#   user.slice/user-1000.slice/user@1000.service/user.slice/libpod-<id>.scope/container  warm (tenant's own)
set -euo pipefail
. /run/vm/lib/image.sh

rootless() {
	runuser -u tenant -- env --chdir=/home/tenant HOME=/home/tenant XDG_RUNTIME_DIR=/run/user/1000 \
		DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@"
}

modprobe -a overlay fuse
chmod 666 /dev/fuse
mount --make-rshared /  # what rootless podman expects of a login
make_bb_tar /srv/bb.tar

podman import --quiet /srv/bb.tar bb:latest
podman run --detach --name warm --network=none --cgroup-parent=tenant-warm.slice \
	--memory 64m --pids-limit 50 --cpus 0.5 bb sleep 100000

systemctl start user@1000.service
rootless podman import --quiet /srv/bb.tar bb:latest
rootless podman run --detach --name warm --network=none --memory 32m --pids-limit 30 bb sleep 100000
