# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2086
# Memory runs out: somebody without a ceiling grows and grows beside one who works on a file that is in memory. Once
# without swap: what the victim has mapped is thrown out and read again, over and over, until the kernel kills; once with swap
# on a slow disk. With the guard the growth is bounded, and where that does not do, the hog is killed; the victim's pages
# come back, and the kernel's OOM killer never takes it.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: touches pages at random of a working set of 160M
#   └── tenant-grow.slice/grow.scope    tenant grow: 40M more each second, all of it touched each second. Kill=last
#
# memory: 1024
# disks: 1024 2048
# disk-opts: throttling.iops-total=2500
# timeout: 400

GROW_CG=tenant.slice/tenant-grow.slice/grow.scope
policy_set <<-'EOP'
	[Host]
	Mode=enforce
	StartupGraceSec=0
	MaxThrottled=100%
	KillBudget=20/1h

	[Defaults]
	PressureWindowSec=2s

	[Tenant web]
	Match=slice=tenant-web.slice

	[Tenant grow]
	Match=slice=tenant-grow.slice
	Kill=last
	KillGraceSec=2s
EOP
mkfs.ext4 -q /dev/vm/disk1
mkdir -p /srv/data
mount /dev/vm/disk1 /srv/data

web() {  # [OPTION-OF-VICTIM...]
	scope web tenant-web.slice -p MemoryAccounting=yes "$VICTIM" -s 600 -m 160 -t 64 "$@" -o $LOADS/web memory
	load_ready web
	WEB=$CG
}
grow() {  # a new hog, as soon as the last one is gone
	until_true 30 "! cg_exists $GROW_CG" || not_ok "the last hog is gone"
	scope grow tenant-grow.slice -p MemoryAccounting=yes "$HOG" -i -s 600 -r 40 -o $LOADS/grow memory
	load_ready grow
}
gone() { [[ $(cg $GROW_CG cgroup.events) != *'populated 1'* ]]; }
pages() { echo $(($(cg_key "$WEB" memory.stat file) + $(cg_key "$WEB" memory.stat anon))); }
# What became of the hog, and of the victim meanwhile.
told() {  # TEXT
	mark web
	diag "web $1: served $DONE of $ASKED, p50 $((P50 / 1000)) ms, p99 $((P99 / 1000)) ms, max $((MAX / 1000)) ms"
	diag "in memory $(($(pages) >> 20))M of 160M, hog $(cg $GROW_CG memory.current) bytes, memory.high $(cg $GROW_CG memory.high)"
}

episode() {  # TEXT: a hog beside the guard
	local n start=$EPOCHREALTIME
	n=$(acts | wc -l)
	grow
	mark web
	start=$EPOCHREALTIME
	go grow
	wait_for 100 "acts >/run/acts; tail -n +$((n + 1)) /run/acts | grep -qE ' (throttle|kill) grow'" "$1: the hog is held back"
	diag "$(elapsed "$start") s after it began to grow"
	# its pages come back from a slow disk, or the hog's death frees them at once
	for _ in {1..10}; do
		nap 4
		told "with guard, $1"
		! gone && [ "$SERVED" -lt 900 ] || break
	done
	gone || [ "$SERVED" -ge 800 ] || not_ok "$1: the hog is killed, or the victim is served"
	diag "$(acts | tail -n +$((n + 1)))"
	if gone; then diag "the hog is gone"; else rest grow; fi
	nap 3
	told "afterwards"
	measure web 5 "afterwards"
	num $SERVED '>=' 900 "$1: it is served again: $SERVED per mille"
	num "$(pages)" '>=' $((130 << 20)) "$1: its pages have come back: $(($(pages) >> 20))M"
	check "$1: the victim was never killed" kill -0 "${LOAD_PID[web]}"
	is "$(cg_key "$WEB" memory.events oom_kill)" 0 "$1: nor did the OOM killer touch it"
	is "$(acts ' (throttle|freeze|stop|kill) web')" "" "$1: nor was it held back"
	gone || kill "${LOAD_PID[grow]}" || :
}

# ---- no swap

web -f /srv/data/web
measure web 5 "alone"
grow
go grow
start=$EPOCHREALTIME
until_true 60 gone || :
told "without guard, no swap"
diag "the kernel killed the hog $(elapsed "$start") s after it began to grow"
num $MAX '>' 50000 "without the guard it is hurt: a request took $((MAX / 1000)) ms"
measure web 5 "recovers"
guard_start
nap 3
episode "no swap"
guard_stop
kill "${LOAD_PID[web]}"
until_true 20 "! cg_exists $WEB" || not_ok "web is gone"

# ---- swap on a slow disk

mkswap /dev/vm/disk2 1048576 >/dev/null
swapon /dev/vm/disk2
web
measure web 5 "alone, anonymous memory"
grow
go grow
nap 32
told "without guard, swap on a disk"
num $MAX '>' 50000 "without the guard it is hurt: a request took $((MAX / 1000)) ms, $SERVED per mille are served"
kill -9 "${LOAD_PID[grow]}" || :
nap 5
measure web 5 "recovers"
guard_start
nap 3
episode "swap"
done_testing
