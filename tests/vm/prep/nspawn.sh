#!/bin/bash
# shape "nspawn": two machines of systemd-nspawn, started by hand and as a template unit would
#
#   tenant.slice/tenant-warm.slice/machine-m1.scope/payload
#   machine.slice/machine-m2.scope/payload
set -euo pipefail
. /run/vm/lib/image.sh

start_machine() {  # $1 name, rest: more options
	local name=$1
	shift
	mkdir -p "/srv/$name"
	tar -C "/srv/$name" -xf /srv/bb.tar
	systemd-nspawn --quiet --directory="/srv/$name" --machine="$name" --private-network --resolv-conf=off \
		--timezone=off --link-journal=no "$@" /bin/sleep 100000 </dev/null >"/run/$name.log" 2>&1 &
	for _ in {1..100}; do
		! machinectl show "$name" --property=Unit 2>/dev/null | grep -q scope || return 0
		sleep 0.2
	done
	cat "/run/$name.log"
	return 1
}

make_bb_tar /srv/bb.tar
start_machine m1 --slice=tenant-warm.slice
start_machine m2
