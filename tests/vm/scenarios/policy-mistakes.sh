# shellcheck shell=bash
# Every kind of mistake, all reported in one run with file and line; a refused load changes nothing;
# a broken file at boot: the last good policy serves, loudly; without one nothing is held.
#
#   tenant.slice/tenant-a.slice     100M by the good policy, through all of it
#
# timeout: 150

good() {
	policy_set <<'P'
[Host]
Mode=ceilings
[Tenant a]
Match=slice=tenant-a.slice
MemoryMax=100M
P
}
good
guard_start
scope s1 tenant-a.slice sleep 1000
A=tenant.slice/tenant-a.slice
wait_for 20 "[ \"\$(cg $A memory.max)\" = $((100 << 20)) ]" "the good policy holds"

long=$(printf 'x%.0s' {1..5000})
B=/etc/bailiff/policy.d/60-bad.ini
cat >$B <<P
[Host]
Mode=sometimes
[Tenant a]
MemoryMax=12Q
	MemoryHigh=1G
CPUQuotta=50%
CPUQuota=-5%
TasksMax=0
IOWriteBandwidthMax=relative/path 5M
MemoryMax=$long
Mode: off
nonsense
[Tenannt b]
[Plan p]
Match=name=x
[Tenant c]
Plan=gold
Match=slice=not-a-slice
Match=user=20-10
[Tenant d]
MemoryMax=1G
[Tenant d]
[Tenant b/d]
P
ctl policy check
is "$CTL_STATUS" 1 "check: exit 1"
diag "$CTL_OUT$CTL_ERR" | cut -c1-200
all=$CTL_OUT$CTL_ERR
n=0
while read -r line what; do
	like "$all" "60-bad.ini:$line: .*$what" "line $line: $what"
	n=$((n + 1))
done <<'L'
2 Mode
4 MemoryMax
5 indented
6 CPUQuota
7 CPUQuota
8 TasksMax
9 IOWriteBandwidthMax
10 long
11 =
12 =
13 Tenant
15 Match
17 gold
18 slice
19 UID
20 Match
22 Tenant
23 b/d
L
like "$all" "did you mean" "a near miss is suggested"
ctl reload
is "$CTL_STATUS" 1 "reload is refused"
like "$CTL_ERR" "60-bad.ini:4:" "with file and line"
is "$(cg $A memory.max)" $((100 << 20)) "what was in force stays in force"
ctl status --json
is "$(jq -c '[.policy.ok, .policy.last_good]' <<<"$CTL_OUT")" '[false,false]' "status says that the file on disk was refused"
like "$(guard_log)" "60-bad.ini:13:" "so does the journal, with every line"
check "SIGHUP is a reload too" systemctl kill --signal HUP bailiffd.service
nap 1
is "$(cg $A memory.max)" $((100 << 20)) "and is refused as well"

systemctl restart bailiffd.service
ctl status --json
is "$(jq -c '[.policy.ok, .policy.last_good]' <<<"$CTL_OUT")" '[false,true]' "at boot the last good policy serves"
nap 3
is "$(cg $A memory.max)" $((100 << 20)) "and holds"
ctl status --check
is "$CTL_STATUS" 2 "status --check: critical"

guard_stop
mv /var/lib/bailiff/policy.last-good /var/lib/bailiff/gone
check "without a last good one it starts" systemctl start bailiffd.service
ctl status --json
is "$(jq -r .mode <<<"$CTL_OUT")" observe "and observes"
is "$(cg $A memory.max)" $((100 << 20)) "nothing is taken back for want of a policy"
rm $B
ctl reload
is "$CTL_STATUS" 0 "the corrected policy loads"
ctl status --json
is "$(jq -c '[.policy.ok, .policy.last_good, .mode]' <<<"$CTL_OUT")" '[true,false,"ceilings"]' "and is in force"
wait_for 10 "[ -e /var/lib/bailiff/policy.last-good ]" "and is kept as the last good one"
printf '%s\n' '[Tenant a]' 'IOReadBandwidthMax=/nowhere/at-all 5M' 'ContainerIOReadBandwidthMax=/proc 5M' >$B
ctl reload
is "$CTL_STATUS" 0 "limits that cannot bite refuse nothing"
like "$CTL_ERR" '60-bad.ini:2: warning: \[Tenant a\] IOReadBandwidthMax: /nowhere/at-all does not exist' \
	"a path that does not exist is a warning, with section and key"
like "$CTL_ERR" '60-bad.ini:3: warning: \[Tenant a\] ContainerIOReadBandwidthMax: /proc is on no block device' \
	"so is one without a disk"
rm $B
done_testing
