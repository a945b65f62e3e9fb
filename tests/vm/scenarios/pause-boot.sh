# shellcheck shell=bash
# bailiff.mode=observe on the kernel command line: whatever policy says, nothing is written.
#
#   tenant.slice/tenant-a.slice     100M by policy
#
# append: bailiff.mode=observe
# timeout: 60

policy_set <<'P'
[Host]
Mode=enforce
[Tenant a]
Match=slice=tenant-a.slice
MemoryMax=100M
P
scope s1 tenant-a.slice sleep 1000
guard_start
wait_for 20 '[ "$(bailiffctl events --json | jq "[.events[] | select(.kind == \"would\")] | length")" -gt 0 ]' \
	"it says what it would do"
nap 2
is "$(cg tenant.slice/tenant-a.slice memory.max)" max "and does not do it"
ctl status --json
is "$(jq -r .mode <<<"$CTL_OUT")" observe "mode"
like "$(jq -r .mode_reason <<<"$CTL_OUT")" "kernel command line" "and why"
ctl show tenant:a --json
is "$(jq -r '.slice_limits[0].limits[0].state' <<<"$CTL_OUT")" observed "the limit says so too"
done_testing
