# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2086
# Memory runs out, for the guard as well: every seventh of its own allocations fails while somebody without a ceiling
# grows until the host is full. He is held back or killed in time all the same, the kernel's OOM killer has nothing to do, and
# with memory again the guard answers, holds nothing that it does not know of, and gives everything back.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: touches pages at random of a file of 120M that it has mapped
#   └── tenant-grow.slice/grow.scope    tenant grow: 40M more each second, all of it touched each second. Kill=last
#
# memory: 1024
# disks: 1024 2048
# timeout: 240

GROW_CG=tenant.slice/tenant-grow.slice/grow.scope
policy_set <<-'EOP'
	[Host]
	Mode=enforce
	StartupGraceSec=0
	MaxThrottled=100%

	[Defaults]
	PressureWindowSec=2s

	[Tenant web]
	Match=slice=tenant-web.slice

	[Tenant grow]
	Match=slice=tenant-grow.slice
	Kill=last
	KillGraceSec=1s
EOP
mkfs.ext4 -q /dev/vm/disk1
mkdir -p /srv/data /run/systemd/system/bailiffd.service.d
mount /dev/vm/disk1 /srv/data
control=/run/failalloc
dd if=/dev/zero of=$control bs=4096 count=1 status=none
every() { printf '%s\0' "$1" | dd of=$control conv=notrunc status=none; }
printf '[Service]\nEnvironment=%s\n' "LD_PRELOAD=/usr/lib/bailiff/test/failalloc.so FAILALLOC=$control" \
	>/run/systemd/system/bailiffd.service.d/60-alloc.conf
systemctl daemon-reload

scope web tenant-web.slice -p MemoryAccounting=yes "$VICTIM" -s 300 -m 120 -t 64 -f /srv/data/web -o $LOADS/web memory
load_ready web
WEB=$CG
measure web 4 "alone"
scope grow tenant-grow.slice -p MemoryAccounting=yes "$HOG" -i -s 300 -r 40 -o $LOADS/grow memory
load_ready grow
guard_start
wait_for 20 'ctl containers --json; [ "$(jq "[.containers[] | select(.mode == \"enforce\")] | length" <<<"$CTL_OUT")" = 2 ]' "the guard knows both"
nap 3
pid=$(guard_pid)

# Seen in the kernel's files alone: a guard whose allocations fail need not answer.
gone() { [[ $(cg $GROW_CG cgroup.events) != *'populated 1'* ]]; }
held() { [[ $(cg $GROW_CG memory.high) =~ ^[0-9] ]]; }
oom_before=$(sed -n 's/^oom_kill //p' /proc/vmstat)
every 7
since=$EPOCHREALTIME
go grow
wait_for 90 'held || gone' "every seventh allocation fails: the one who grows is held back or killed"
diag "$(elapsed "$since") s after it began to grow: memory.high $(cg $GROW_CG memory.high)"
# and on, for a while: what was begun holds while allocations go on failing
for _ in {1..10}; do
	! gone || break
	nap 2
done
every 0
diag "in the end: memory.high $(cg $GROW_CG memory.high), $(cg $GROW_CG memory.current) bytes"
read -r asked failed < <(od --address-radix=n --format=u8 --skip-bytes=64 --read-bytes=16 $control)
num "${failed:-0}" '>' 10 "$failed of $asked allocations failed meanwhile"
is "$(sed -n 's/^oom_kill //p' /proc/vmstat)" "$oom_before" "the kernel's OOM killer had nothing to do"
check "the victim lives" kill -0 "${LOAD_PID[web]}"
is "$(cg "$WEB" memory.high)" max "and is not held back"
wait_for 30 'ctl status --json && [ $CTL_STATUS = 0 ]' "with memory again the guard answers"
is "$(guard_pid)" "$pid" "it is the same process"
ctl events --json
told=$(jq -r '.events[] | "\(.kind): \(.text)"' <<<"$CTL_OUT")
like "$told" '(throttle|kill): ' "what it did is told, if only in short"
unlike "$told" 'nobody is held back' "and nothing that is not so"
diag "$told"
gone || rest grow
wait_for 90 '[ "$(leases)" = 0 ]' "no lease is left"
[ ! -d "$CGROOT/$GROW_CG" ] || is "$(cg $GROW_CG memory.high)" max "and no limit"
measure web 5 "afterwards"
num $SERVED '>=' 900 "the victim is served: $SERVED per mille"
done_testing
