# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2086
# The same with memory: what runs it out is in no cgroup (here a process of the root's; a file system's cache, or a driver's, is no
# other to the guard). Somebody suffers, and the only container that grows meanwhile does not stand in for it.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: touches pages at random of a working set of 160M
#   └── tenant-slow.slice/slow.scope    tenant slow: 3M more each second. Kill=prefer
#   /                                   60M more each second
#
# memory: 1024
# disks: 1024 2048
# disk-opts: throttling.iops-total=2500
# timeout: 200

policy_set <<-'EOP'
	[Host]
	Mode=enforce
	StartupGraceSec=0
	MaxThrottled=100%

	[Defaults]
	PressureWindowSec=2s

	[Tenant web]
	Match=slice=tenant-web.slice

	[Tenant slow]
	Match=slice=tenant-slow.slice
	Kill=prefer
EOP
mkfs.ext4 -q /dev/vm/disk1
mkdir -p /srv/data
mount /dev/vm/disk1 /srv/data
scope web tenant-web.slice -p MemoryAccounting=yes "$VICTIM" -s 600 -m 160 -t 64 -f /srv/data/web -o $LOADS/web memory
load_ready web
scope slow tenant-slow.slice -p MemoryAccounting=yes "$HOG" -i -s 600 -r 3 -m 200 -o $LOADS/slow memory
load_ready slow
guard_start
nap 12
measure web 5 "alone"
in_cgroup / sh -c 'echo $$ >/run/root.pid; exec "$@"' - "$HOG" -i -s 100 -r 60 -m 700 -o $LOADS/root memory &
until_true 60 "grep -qs '^ready' '$LOADS/root'" || not_ok "who is in no cgroup is ready"
LOAD_PID[root]=$(</run/root.pid)
echo 1000 >"/proc/${LOAD_PID[root]}/oom_score_adj"
go slow root
wait_for_act 60 ' notify .* out-of-reach' "that somebody suffers is told"
no_acts "what is in no cgroup takes all memory"
why_says "$(acts ' notify .* out-of-reach' | head -n 1 | cut -d' ' -f1)" "the kernel's own work, out of reach, and nobody stands in for it" "why says so"
measure web 5 "beside it"
diag "$(grep -E '^(MemFree|MemAvailable)' /proc/meminfo)"
diag "$(acts)"
kill -9 "${LOAD_PID[root]}" || :
nap 5
is "$(acts ' (throttle|freeze|stop|kill) ')" "" "nobody was held back"
check "slow runs" kill -0 "${LOAD_PID[slow]}"
is "$(cg "${LOAD_CG[slow]}" memory.high)" max "with no limit"
is "$(leases)" 0 "there was never a lease"
done_testing
