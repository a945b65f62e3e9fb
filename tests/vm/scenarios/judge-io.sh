# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# A disk that both use: one writes 4 KB and waits for the disk ten times a second, the other writes at random as fast
# as it can, past the page cache and then through it. The one who floods the disk is held back by io.max of that disk,
# and the other's requests are served; nobody is killed.
#
#   tenant.slice
#   ├── tenant-db.slice/db.scope            tenant db: fsync, on /srv/data (its own disk: 300 operations a second)
#   ├── tenant-flood.slice/direct.scope     tenant flood: 16 threads, O_DIRECT
#   └── tenant-flood.slice/buffered.scope   tenant flood: 4 threads
#
# memory: 1024
# disks: 1024 2048
# disk-opts: throttling.iops-total=300
# timeout: 400

policy_set <<-'EOP'
	[Host]
	Mode=enforce
	StartupGraceSec=0
	MaxThrottled=100%

	[Defaults]
	PressureWindowSec=2s
	Kill=last

	[Tenant db]
	Match=slice=tenant-db.slice

	[Tenant flood]
	Match=slice=tenant-flood.slice
EOP
mkfs.ext4 -q /dev/vm/disk1
mkdir -p /srv/data
mount /dev/vm/disk1 /srv/data
# A database of the past: the kernel goes on putting writes of this file down to its cgroup for a while, and not to its heir's.
scope past tenant-db.slice -p IOWeight=100 "$VICTIM" -s 4 -f /srv/data/db -m 16 -o $LOADS/past fsync
until_true 30 "! cg_exists '$CG'" || not_ok "the past is over"
scope db tenant-db.slice -p IOWeight=100 "$VICTIM" -s 600 -f /srv/data/db -m 16 -o $LOADS/db fsync
load_ready db
scope direct tenant-flood.slice -p IOWeight=100 "$HOG" -i -s 600 -n 16 -m 64 -f /srv/data/direct -o $LOADS/direct direct
load_ready direct
DIRECT=$CG
scope buffered tenant-flood.slice -p IOWeight=100 "$HOG" -i -s 600 -n 4 -m 512 -f /srv/data/buffered -o $LOADS/buffered buffered
load_ready buffered
BUFFERED=$CG

calm() {  # until the disk has written what is left
	sync
	nap 3
}

calm
measure db 6 "alone"
alone=$P50
for how in direct buffered; do
	go $how
	nap 4
	measure db 10 "beside $how writes, without guard"
	rest $how
	declare "without_$how=$SERVED" "p50_$how=$P50"
	calm
done
# shellcheck disable=SC2154
num "$p50_direct" '>' $((alone * 4)) "direct writes hurt it: $((p50_direct / 1000)) ms, alone $((alone / 1000)) ms"

guard_start
nap 4
for how in direct buffered; do
	cgroup=$DIRECT
	[ $how = direct ] || cgroup=$BUFFERED
	start=$EPOCHREALTIME
	go $how
	if [ $how = direct ]; then
		wait_for_act 40 " throttle $how" "$how: it is throttled" "$start"
		like "$(cg "$cgroup" io.max)" '[rw](b|io)ps=[0-9]' "$how: by io.max: $(cg "$cgroup" io.max)"
		nap 4
	else
		nap 12
	fi
	measure db 10 "beside $how writes, with guard"
	diag "io.max $(cg "$cgroup" io.max)"
	without=without_$how
	num $SERVED '>=' 800 "$how: it is served: $SERVED per mille, without guard ${!without}"
	rest $how
	wait_for 120 '[ "$(leases)" = 0 ]' "$how: it rests, all is given back"
	calm
done
diag "$(acts)"
is "$(acts ' (stop|kill) ')" "" "nobody is killed"
is "$(acts ' (throttle|freeze) db')" "" "nor is the victim held back"
why_says db.scope 'direct' "why: who was to blame"
done_testing
