#!/bin/bash
# Who helps a victim, how soon, and at what price: nobody, systemd-oomd, Meta's oomd and bailiffd, each with the fastest
# settings that make sense for it, in four kinds of trouble, all in one run. What is measured of each:
#
#   first action   from the hog's onset to the first write of a limit of its, or its death; a write counts when it is over
#   served, p99    the victim's requests from 10 s after the onset on, as ratios to the calm before it. Who has waited
#                  for a second goes away unserved (tests/vm/tools/victim.c), so p99 cannot grow far beyond that.
#   killed         who, and by whom: the guard or the kernel's OOM killer
#   CPU time       of the guard's cgroup, from the onset to the end, 20 s
#
#   tenant.slice
#   ├── tenant-victim.slice/victim-….scope      serves requests
#   └── tenant-hog.slice/hog-….scope            the one who hurts it
#   system.slice/{peer,systemd-oomd}.service    the peer that runs
#   bailiff.slice/bailiffd.service              the guard
#   watch.slice/watch-….scope                   notes who writes what to the hog's files, and when
#
#   cpu      40 % of a CPU, guaranteed are 60 %, beside 16 threads that spin, with ten times the weight
#   memory   a working set of 120 MB, anonymous, beside growth by 120 MB a second without a ceiling; swap on a slow disk
#   io       20 fsyncs a second beside 16 threads that write at random, past the page cache
#   thrash   the same beside 8 threads that read a file five times as large as their own MemoryMax=
#
# systemd-oomd and oomd can only kill. systemd-oomd knows of memory alone; oomd is told to kill for IO, too, by the cost
# of it. Nothing that either of them has would hold for CPU.
#
# ./dev bench vm-judge prints Markdown rows, for the README's "Measured".
#
# memory: 768
# disks: 1024 1024
# disk-opts: throttling.iops-total=400
# timeout: 1200
set -euo pipefail
# shellcheck source=/dev/null
. /mnt/share/bench/lib/many.sh

SCENARIOS=(cpu memory io thrash)
GUARDS=(nobody systemd-oomd oomd bailiffd)
DATA=/srv/data
CALM=6      # seconds before the onset: what the victim is served alone
LATE=10     # from so many seconds after the onset on the victim has to be served again
EPISODE=20  # until so many after it
declare -A VICTIM_LOAD HOG_LOAD HOG_PROPERTIES UNIT TITLE
declare -A GOT  # "what-SCENARIO-GUARD"

TITLE=([cpu]="CPU" [memory]="memory" [io]="IO" [thrash]="thrash at its own ceiling")
VICTIM_LOAD=([cpu]="-p 40 cpu" [memory]="-m 120 memory" [io]="-e 50 -f $DATA/victim -m 16 fsync")
VICTIM_LOAD[thrash]=${VICTIM_LOAD[io]}
HOG_LOAD=([cpu]="-n 16 cpu" [memory]="-r 120 memory" [io]="-n 16 -m 64 -f $DATA/direct direct"
	[thrash]="-n 8 -m 256 -f $DATA/reread reread")
HOG_PROPERTIES=([thrash]="-p MemoryMax=48M")
UNIT=([bailiffd]=bailiff.slice/bailiffd.service [systemd-oomd]=system.slice/systemd-oomd.service
	[oomd]=system.slice/peer.service)

# ---- the guards

# The same targets for all, a tenth of the time for memory, a fifth for IO, both of bailiff's defaults; and the shortest
# times that each takes.
configure_guards() {
	mkdir -p /run/systemd/oomd.conf.d /etc/bailiff/policy.d
	printf '[OOM]\nDefaultMemoryPressureDurationSec=1s\nSwapUsedLimit=80%%\n' >/run/systemd/oomd.conf.d/bench.conf
	cat >/run/oomd.json <<-'JSON'
		{"rulesets": [
			{"name": "memory",
			 "detectors": [["stall", {"name": "pressure_above", "args": {
				"cgroup": "tenant.slice", "resource": "memory", "threshold": "10", "duration": "1"}}]],
			 "actions": [{"name": "kill_by_memory_size_or_growth", "args": {
				"cgroup": "tenant.slice/*/*.scope", "post_action_delay": "2"}}]},
			{"name": "swap",
			 "detectors": [["full", {"name": "swap_free", "args": {"threshold_pct": "20"}}]],
			 "actions": [{"name": "kill_by_swap_usage", "args": {
				"cgroup": "tenant.slice/*/*.scope", "post_action_delay": "2"}}]},
			{"name": "io",
			 "detectors": [["stall", {"name": "pressure_above", "args": {
				"cgroup": "tenant.slice", "resource": "io", "threshold": "20", "duration": "1"}}]],
			 "actions": [{"name": "kill_by_io_cost", "args": {
				"cgroup": "tenant.slice/*/*.scope", "post_action_delay": "2"}}]}]}
	JSON
	cat >/etc/bailiff/policy.d/10-bench.ini <<-'EOP'
		[Host]
		Mode=enforce
		StartupGraceSec=0
		MaxThrottled=100%
		KillBudget=20/1h

		[Defaults]
		PressureWindowSec=1s
		PressureTrigger=cpu io memory

		[Tenant victim]
		Match=slice=tenant-victim.slice
		CPUGuarantee=60%

		[Tenant hog]
		Match=slice=tenant-hog.slice
		Kill=last
		KillGraceSec=1s
	EOP
}

# Not a drop-in: a slice that is managed starts systemd-oomd, whoever's turn it is.
managed_oom() {  # kill|auto
	systemctl set-property --runtime tenant.slice ManagedOOMMemoryPressure="$1" ManagedOOMMemoryPressureLimit=10% \
		ManagedOOMSwap="$1"
}

guard_up() {  # GUARD
	case $1 in
	nobody) ;;
	bailiffd) systemctl start bailiffd.service ;;
	systemd-oomd)
		managed_oom kill
		systemctl start systemd-oomd.service
		;;
	oomd)
		systemd-run --quiet --collect --unit=peer -p MemoryLow=64M oomd --config /run/oomd.json --interval 1 \
			--device "$(<"/sys/class/block/$DISK/dev")"
		;;
	esac
}

guard_down() {
	case $1 in
	nobody) ;;
	bailiffd) systemctl stop bailiffd.service ;;
	systemd-oomd)
		managed_oom auto
		systemctl stop systemd-oomd.socket systemd-oomd.service
		;;
	oomd) systemctl stop peer.service ;;
	esac
}

# Nobody but this one may act here.
alone_at_work() {  # GUARD
	local other
	for other in "${!UNIT[@]}"; do
		[ "$other" = "$1" ] || ! cg_exists "${UNIT[$other]}" || { echo "vm-judge: $other runs beside $1" >&2; exit 1; }
	done
}

# ---- the loads

alive() { [[ $(cg "${LOAD_CG[$1]}" cgroup.events) = *'populated 1'* ]]; }
oom_kills() { sed -n 's/^oom_kill //p' /proc/vmstat; }

# They have what PID 1 gives a container, not what the machine's job hands down: that is the last one to be killed.
load_start() {  # NAME SLICE PROPERTIES COMMAND...
	local name=$1 slice=$2 properties=$3
	shift 3
	# shellcheck disable=SC2086  # they are words
	scope "$name" "$slice" -p CPUWeight=100 -p IOWeight=100 -p MemoryAccounting=yes -p TasksMax=1000 $properties \
		choom -n 0 -- "$@"
	disown  # who is killed is nothing that this shell shall tell
	load_ready "$name"
}

# Writes lines "USEC FILE VALUE" to LOADS/$watch for each write to a limit of the hog, and for its end.
watch_start() {
	local file
	local -a files=()
	for file in "$CGROOT/${LOAD_CG[$hog]}"{,/..}/{cpu.max,io.max,memory.high,memory.max,pids.max,cgroup.freeze}; do
		[ ! -e "$file" ] || files+=("$file")
	done
	scope "$watch" watch.slice "$REFLEX" -s 600 watch "${files[@]}" "$CGROOT/${LOAD_CG[$hog]}/cgroup.events" \
		>"$LOADS/$watch"
	disown
	load_ready "$watch"
}

loads_stop() {
	local name
	for name in "$watch" "$hog" "$victim"; do
		cg_kill "${LOAD_CG[$name]}"
		until_true 40 "! alive $name"  # who is deep in reclaim dies slowly
	done
	systemctl stop tenant.slice  # the averages of its pressure end with it: nobody inherits those of the one before
	sync
}

# ---- an episode

# What was done first, and how long after the onset: sets WHEN (µs) and WHAT; empty if nothing was.
first_action() {  # ONSET
	local when file value
	WHEN='' WHAT=''
	while read -r when file value; do
		[ "$when" != ready ] && ((when >= $1)) && [ "$value" != "populated 1" ] || continue
		WHEN=$((when - $1)) WHAT=${file##*/}
		[ "$WHAT" != cgroup.events ] || WHAT="kill"
		return
	done <"$LOADS/$watch"
}

killed() {  # GUARD: prints who died, and by whom
	local name by=$1 text=''
	[ "$(oom_kills)" = "$kills" ] || by="the kernel"
	for name in "$hog" "$victim"; do
		alive "$name" || text+="${text:+, }${name%%-*}, by $by"
	done
	echo "${text:--}"
}

# How the victim has been served since the last time; nothing is what the dead are served.
note() {  # WHEN ID
	if alive "$victim"; then
		mark "$victim"
	else
		SERVED=0 P99=0
	fi
	GOT[$1-served-$2]=$SERVED GOT[$1-p99-$2]=$P99
}

episode() {  # SCENARIO GUARD
	local id=$1-$2 hog=hog-$1-$2 victim=victim-$1-$2 watch=watch-$1-$2 kills cpu=0
	guard_up "$2"
	alone_at_work "$2"
	# shellcheck disable=SC2086  # they are words
	load_start "$victim" tenant-victim.slice '' "$VICTIM" -o "$LOADS/$victim" ${VICTIM_LOAD[$1]}
	# shellcheck disable=SC2086
	load_start "$hog" tenant-hog.slice "${HOG_PROPERTIES[$1]:-}" "$HOG" -i -o "$LOADS/$hog" ${HOG_LOAD[$1]}
	watch_start
	kills=$(oom_kills)
	nap 2
	note settled "$id"
	nap $CALM
	note alone "$id"
	[ "$2" = nobody ] || cpu=$(cpu_usec "${UNIT[$2]}")
	go "$hog"
	nap $LATE
	note early "$id"
	nap $((EPISODE - LATE))
	note late "$id"
	[ "$2" = nobody ] || GOT[cpu-$id]=$(($(cpu_usec "${UNIT[$2]}") - cpu))
	GOT[killed-$id]=$(killed "$2")
	first_action "$(sed -n 's/^begin //p' "$LOADS/$hog")"
	GOT[when-$id]=$WHEN GOT[what-$id]=$WHAT
	tell "$id"
	cg_exists "${UNIT[$2]:-}" || { echo "vm-judge: $2 has ended" >&2; exit 1; }
	guard_down "$2"
	loads_stop
}

tell() {  # ID: what was seen, while the bench goes on
	local when
	for when in alone early late; do
		echo "# $1: $when ${GOT[$when-served-$1]} per mille served, p99 ${GOT[$when-p99-$1]} µs" >&2
	done
	echo "# $1: killed ${GOT[killed-$1]}; CPU ${GOT[cpu-$1]:--} µs; first ${GOT[when-$1]:--} µs; all writes:" >&2
	sed "s,^,#   ,; s,$CGROOT/tenant.slice/tenant-hog.slice/,," "$LOADS/$watch" >&2
	[ "${1##*-}" != bailiffd ] || bailiffctl why "${LOAD_CG[$victim]##*/}" 2>&1 | sed 's,^,#   why: ,' >&2
}

# ---- the table

median() {
	printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"
}

row() {  # SCENARIO GUARD ALONE-P99
	local id=$1-$2 first=-
	[ -z "${GOT[when-$id]}" ] || first="$(ratio "${GOT[when-$id]}" 1000000 1) s: ${GOT[what-$id]}"
	printf '| %s: %s | %s | %s | %s | %s | %s |\n' "${TITLE[$1]}" "$2" "$first" \
		"$(ratio "${GOT[late-served-$id]}" "${GOT[alone-served-$id]}" 2)" "$(ratio "${GOT[late-p99-$id]}" "$3" 1)" \
		"${GOT[killed-$id]}" "${GOT[cpu-$id]:+$(ratio "${GOT[cpu-$id]}" 1000 0) ms}"
}

# A p99 of six seconds is a matter of luck: alone counts the middle one of those of all guards.
table() {
	local scenario guard alone
	local -a p99
	cat <<-EOF

	| kernel $(kernel_version), emulated | first action | served, of alone | p99, times alone | killed | CPU time in $EPISODE s |
	|---|---|---|---|---|---|
	EOF
	for scenario in "${SCENARIOS[@]}"; do
		p99=()
		for guard in "${GUARDS[@]}"; do p99+=("${GOT[alone-p99-$scenario-$guard]}"); done
		alone=$(median "${p99[@]}")
		for guard in "${GUARDS[@]}"; do row "$scenario" "$guard" "$alone"; done
	done
}

# ---- the run

prepare() {
	mkfs.ext4 -q /dev/vm/disk1
	mkdir -p $DATA
	mount /dev/vm/disk1 $DATA
	DISK=$(basename "$(readlink -f /dev/vm/disk1)")
	# systemd-oomd does not start without swap
	mkswap /dev/vm/disk2 >/dev/null
	swapon /dev/vm/disk2
	systemctl start dbus.service
	configure_guards
	# what is protected for bailiffd by its own slice is for the others, and for who measures
	systemctl set-property --runtime system.slice MemoryMin=128M
	systemctl set-property --runtime watch.slice MemoryMin=16M CPUWeight=1000
}

prepare
for scenario in "${SCENARIOS[@]}"; do
	weight=100
	[ "$scenario" != cpu ] || weight=1000
	systemctl set-property --runtime tenant-hog.slice CPUWeight=$weight
	for guard in "${GUARDS[@]}"; do episode "$scenario" "$guard"; done
done
table
