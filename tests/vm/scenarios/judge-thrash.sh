# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# Thrash at one's own ceiling: a container at its memory.max rereads a file that is larger than that, flat out, for
# ever. Nothing is killed by the kernel, no limit is exceeded, and the disk of all is gone. It is told as what it is, and
# held back by io.max for reading, never by its memory; the neighbour's requests are served.
#
#   tenant.slice
#   ├── tenant-db.slice/db.scope        tenant db: reads 4 KB ten times a second, of a disk that does 120
#   └── tenant-lost.slice/lost.scope    tenant lost: MemoryMax=48M, rereads 256M with 8 threads
#
# memory: 1024
# disks: 1024 2048
# disk-opts: throttling.iops-total=120
# timeout: 300

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

	[Tenant lost]
	Match=slice=tenant-lost.slice
EOP
mkfs.ext4 -q /dev/vm/disk1
mkdir -p /srv/data
mount /dev/vm/disk1 /srv/data
scope db tenant-db.slice -p IOWeight=100 "$VICTIM" -s 600 -f /srv/data/db -m 16 -o $LOADS/db read
load_ready db
scope lost tenant-lost.slice -p IOWeight=100 -p MemoryMax=48M "$HOG" -i -s 600 -n 8 -m 256 -b 64 -f /srv/data/lost -o $LOADS/lost reread
load_ready lost
LOST=$CG
sync
nap 3
measure db 6 "alone"
alone=$P50
go lost
nap 5
measure db 10 "beside the thrash, without guard"
without=$P50
num "$without" '>' $((alone * 3)) "it is hurt: $((without / 1000)) ms, alone $((alone / 1000)) ms"
diag "lost: $(cg "$LOST" memory.current) bytes, $(cg "$LOST" memory.pressure | head -n 1)"
is "$(cg_key "$LOST" memory.events oom_kill)" 0 "the kernel kills nobody for it"
rest lost
nap 2
guard_start
nap 4
start=$EPOCHREALTIME
go lost
wait_for_act 60 ' throttle lost' "it is throttled" "$start"
like "$(cg "$LOST" io.max)" 'rbps=[0-9]+ wbps=max riops=[0-9]+ wiops=max' "in reading only: $(cg "$LOST" io.max)"
nap 5
measure db 10 "with guard"
num $SERVED '>=' 800 "the neighbour is served: $SERVED per mille"
num "$P50" '<' "$without" "a request takes $((P50 / 1000)) ms, without guard $((without / 1000)) ms"
is "$(cg "$LOST" memory.high)/$(cg "$LOST" memory.max)" "max/$((48 << 20))" "its memory is not touched"
is "$(acts ' (stop|kill) ')" "" "nobody is killed"
diag "$(acts)"
like "$(acts)" ' thrash lost\.scope thrash' "an event says that it thrashes at its own ceiling"
why_says lost.scope 'Thrashing: at its own ceiling' "and so does why"
rest lost
wait_for 120 '[ "$(leases)" = 0 ]' "it rests: all is given back"
done_testing
