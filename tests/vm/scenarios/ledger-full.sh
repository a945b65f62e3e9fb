# shellcheck shell=bash
# /run is full: what was there before us could not be remembered, so no new limit is written, and it is
# said. What holds goes on holding. Room again: the new one is held.
#
#   tenant.slice/tenant-a.slice
#   ├── s1.scope     held before
#   └── s2.scope     comes while there is no room
#
# timeout: 90

mkdir -p /run/bailiff
mount -t tmpfs -o size=64k tmpfs /run/bailiff
policy_set <<'P'
[Host]
Mode=ceilings
[Tenant a]
Match=slice=tenant-a.slice
ContainerTasksMax=50
P
guard_start
A=tenant.slice/tenant-a.slice
scope s1 tenant-a.slice sleep 1000
wait_for 20 "[ \"\$(cg $A/s1.scope pids.max)\" = 50 ]" "there is room: held"
dd if=/dev/zero of=/run/bailiff/fill bs=4k 2>/dev/null || :
# The ledger's last page may have room left: some 45 records fit into a page.
for i in {2..90}; do mkdir "$CGROOT/$A/f$i.scope"; done
scope s2 tenant-a.slice sleep 1000
wait_for 20 '[ "$(bailiffctl --json events | jq "[.events[] | select(.kind == \"degraded\" and (.text | contains(\"ledger\")))] | length")" -ge 1 ]' \
	"no room: said"
nap 3
isnt "$(cg $A/s2.scope pids.max)" 50 "and nothing is written that could not be given back"
is "$(cg $A/s1.scope pids.max)" 50 "what holds goes on holding"
ctl status --json
isnt "$(jq -r .ledger.error <<<"$CTL_OUT")" null "status shows the error"
rm /run/bailiff/fill
wait_for 30 "[ \"\$(cg $A/s2.scope pids.max)\" = 50 ]" "room again: held"
done_testing
