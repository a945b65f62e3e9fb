#!/bin/bash
# What others pay for watching the same containers: systemd-oomd, Meta's oomd and `systemd-cgtop` beside
# bailiffd, with 1,000, 200 and 50 of them, one of 20 busy; each alone, one after the other, twice around.
#
#   many.slice/docker-<64 hex>.scope            the containers, see tests/vm/prep/many.sh
#   system.slice/{peer,systemd-oomd}.service    the peer that runs
#   bailiff.slice/bailiffd.service              the guard
#
# They do not do the same. systemd-oomd watches the pressure of the slice, and looks at the containers only when
# that is high; oomd reads memory and its pressure of each, cgtop CPU, memory, tasks and I/O, both each second.
# bailiffd keeps books of all of it. Of each the lowest of all rounds counts: what else the host does only adds.
#
# ./dev bench vm-peers prints Markdown rows, for the README's "Measured".
#
# shape: many
# timeout: 1500
set -euo pipefail
# shellcheck source=/dev/null
. /mnt/share/bench/lib/many.sh

SIZES=(1000 200 50)  # downwards: containers can only be removed
PEERS=(bailiffd systemd-oomd oomd systemd-cgtop)
EVERY=20
ROUNDS=2
SETTLES=10
MEASURED=12
declare -A CPU UNIT  # "peer-N": µs of the cheapest round; peer: its cgroup

UNIT=([bailiffd]=bailiff.slice/bailiffd.service [systemd-oomd]=system.slice/systemd-oomd.service
	[oomd]=system.slice/peer.service [systemd-cgtop]=system.slice/peer.service)

# ---- the peers

prepare_oomd_configuration() {
	mkdir -p /run/systemd/oomd.conf.d /run/systemd/system/many.slice.d
	# so that it never has a reason to act
	printf '[OOM]\nDefaultMemoryPressureDurationSec=30s\nSwapUsedLimit=99%%\n' >/run/systemd/oomd.conf.d/bench.conf
	printf '[Slice]\nManagedOOMMemoryPressure=kill\nManagedOOMMemoryPressureLimit=99%%\nManagedOOMSwap=kill\n' \
		>/run/systemd/system/many.slice.d/bench.conf
	cat >/run/oomd.json <<-'JSON'
		{"rulesets": [{"name": "memory",
			"detectors": [["pressure", {"name": "pressure_above", "args": {
				"cgroup": "many.slice/docker-*", "resource": "memory", "threshold": "99", "duration": "30"}}]],
			"actions": [{"name": "kill_by_memory_size_or_growth", "args": {
				"cgroup": "many.slice/docker-*", "recursive": "false"}}]}]}
	JSON
	systemctl daemon-reload
}

peer_start() {  # PEER
	case $1 in
	bailiffd) guard_start_settled ;;
	systemd-oomd) systemctl start systemd-oomd.service ;;
	oomd) systemd-run --quiet --collect --unit=peer oomd --config /run/oomd.json --interval 1 ;;
	systemd-cgtop)
		systemd-run --quiet --collect --unit=peer -p StandardOutput=null \
			systemd-cgtop --batch --delay=1s --iterations=0 --depth=5
		;;
	esac
}

peer_stop() {
	case $1 in
	bailiffd) systemctl stop bailiffd.service ;;
	systemd-oomd) systemctl stop systemd-oomd.socket systemd-oomd.service ;;
	*) systemctl stop peer.service ;;
	esac
}

measure() {  # PEER N
	local cgroup=${UNIT[$1]} cpu
	peer_start "$1"
	nap $SETTLES
	cpu=$(cpu_usec "$cgroup")
	nap $MEASURED
	cg_exists "$cgroup" || { echo "vm-peers: $1 does not run" >&2; exit 1; }
	cpu=$(($(cpu_usec "$cgroup") - cpu))
	peer_stop "$1"
	((${CPU[$1-$2]:-cpu} < cpu)) || CPU[$1-$2]=$cpu
	echo "# $2: $1 $((cpu / MEASURED)) µs a second" >&2
}

# ---- the table

table() {
	local peer n own i
	echo
	printf '| CPU time a second, kernel %s, emulated: ms (times bailiffd'"'"'s) |' "$(kernel_version)"
	for ((i = ${#SIZES[@]} - 1; i >= 0; i--)); do printf ' %s containers |' "${SIZES[i]}"; done
	printf '\n|---|'
	printf -- '---|%.0s' "${SIZES[@]}"
	echo
	for peer in "${PEERS[@]}"; do
		printf '| %s |' "$peer"
		for ((i = ${#SIZES[@]} - 1; i >= 0; i--)); do
			n=${SIZES[i]} own=${CPU[bailiffd-$n]}
			printf ' %s (%s) |' "$(ratio "${CPU[$peer-$n]}" $((MEASURED * 1000)) 1)" \
				"$(ratio "${CPU[$peer-$n]}" "$own" 2)"
		done
		echo
	done
}

# ---- the run

need_programs
prepare_oomd_configuration
systemctl start dbus.service
# systemd-oomd does not start without swap
modprobe zram
echo 64M >/sys/block/zram0/disksize
mkswap /dev/zram0 >/dev/null
swapon /dev/zram0
for n in "${SIZES[@]}"; do
	$BIN/many keep $MANY "$n"
	busy_start "$n" $EVERY
	for ((round = 0; round < ROUNDS; round++)); do
		for peer in "${PEERS[@]}"; do measure "$peer" "$n"; done
	done
	busy_stop
done
table
