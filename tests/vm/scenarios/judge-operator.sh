# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# An operator's hand: throttle, release, freeze, thaw, kill. They hold without any harm, by the same leases: what
# was there before comes back at the end of the span, on release, and when the guard goes. Each is told with the uid.
#
#   tenant.slice
#   └── tenant-job.slice      tenant job
#       ├── one.scope         spins; 300 tasks by its own limit
#       ├── two.scope         sleeps
#       └── three.scope       sleeps
#
# timeout: 150

policy_set <<-'EOP'
	[Host]
	Mode=enforce

	[Tenant job]
	Match=slice=tenant-job.slice
EOP
# Nobody is to be hurt by that, nor who asks here where CPUs are emulated on a busy host: the judge would act, too.
systemctl set-property --runtime system.slice CPUWeight=10000
scope one tenant-job.slice -p CPUWeight=100 -p TasksMax=300 -p MemoryAccounting=yes "$HOG" -n 1 -s 600 -o $LOADS/one cpu
load_ready one
ONE=$CG
scope two tenant-job.slice sleep 1000
TWO=$CG
scope three tenant-job.slice sleep 1000
guard_start
nap 3
before=$(limit_tree tenant.slice)
as_before() { [ "$(limit_tree tenant.slice)" = "$before" ]; }
frozen() { cg_key "$1" cgroup.events frozen; }

ctl throttle one.scope cpu=30% memory=64M pids=50 --for 60s
is $CTL_STATUS 0 "throttle one.scope"
diag "$CTL_OUT$CTL_ERR"
wait_for 5 "[ \"\$(cg $ONE cpu.max)\" = '30000 100000' ]" "it has 30 % of a CPU"
is "$(cg "$ONE" memory.high)/$(cg "$ONE" pids.max)" "$((64 << 20))/50" "64M, and 50 tasks"
used=$(cg_key "$ONE" cpu.stat usage_usec)
nap 5
used=$(($(cg_key "$ONE" cpu.stat usage_usec) - used))
num $used '<' 2500000 "it used $((used / 1000)) ms of CPU in five seconds"
is "$(leases)" 3 "three leases stand"
ctl containers --json
is "$(jq -c '[.containers[] | select(.cgroup | endswith("/one.scope")) | .leases[].by] | unique' <<<"$CTL_OUT")" '["operator"]' \
	"they are the operator's"
systemctl daemon-reload
nap 2
is "$(cg "$ONE" cpu.max)/$(cg "$ONE" memory.high)/$(cg "$ONE" pids.max)" "30000 100000/$((64 << 20))/50" "a daemon-reload does not end them"
ctl release one.scope
is $CTL_STATUS 0 "release one.scope"
wait_for 5 as_before "all is as before"
diag "$(diff <(echo "$before") <(limit_tree tenant.slice) || :)"

ctl throttle one.scope cpu=20% --for 5s
wait_for 5 "[ \"\$(cg $ONE cpu.max)\" = '20000 100000' ]" "throttled for five seconds"
wait_for 15 as_before "it ends by itself"

ctl throttle one.scope pids=1000 --for 60s
is "$(cg "$ONE" pids.max)" 300 "a looser limit than there is does not hold"
ctl release one.scope
ctl throttle one.scope cpu=0% --for 60s
isnt $CTL_STATUS 0 "no CPU at all is refused: $CTL_ERR"
ctl throttle one.scope cpu=20%
isnt $CTL_STATUS 0 "without an end it is refused: $CTL_ERR"
check "and nothing is written" as_before

# ---- freeze

ctl freeze one.scope --for 60s
is $CTL_STATUS 0 "freeze one.scope"
wait_for 5 "[ \$(frozen $ONE) = 1 ]" "it is frozen"
ctl thaw one.scope
wait_for 5 "[ \$(frozen $ONE) = 0 ]" "and thawed"
ctl freeze two.scope --for 3s
wait_for 5 "[ \$(frozen $TWO) = 1 ]" "frozen for three seconds"
wait_for 10 "[ \$(frozen $TWO) = 0 ]" "it ends by itself"
echo 1 >"$CGROOT/$TWO/cgroup.freeze"
ctl freeze two.scope --for 3s
diag "$CTL_OUT$CTL_ERR"
ctl thaw two.scope
nap 5
is "$(frozen "$TWO")" 1 "a pause that is not ours is not ended"
echo 0 >"$CGROOT/$TWO/cgroup.freeze"
ctl freeze two.scope --for 1h
isnt $CTL_STATUS 0 "an hour is refused: $CTL_ERR"

# ---- kill

ctl kill two.scope
is $CTL_STATUS 0 "kill two.scope"
wait_for 10 "! cg_exists $TWO" "it is gone"
check "the others are not" cg_exists "$ONE"
ctl kill tenant:job
isnt $CTL_STATUS 0 "a whole tenant is asked about: $CTL_ERR"
ctl kill tenant:job --yes
is $CTL_STATUS 0 "kill tenant:job --yes"
wait_for 10 "! cg_exists $ONE" "all of it is gone"
ctl events --json
jq -r '.events[] | select(.kind | test("^(throttle|unthrottle|release|freeze|thaw|kill)$")) | "\(.id) \(.kind) \(.container) uid \(.uid): \(.text)"' \
	<<<"$CTL_OUT" >/run/acts
diag "$(</run/acts)"
is "$(grep -c ' thaw one.scope ' /run/acts)" 1 "one thaw is one event"
for kind in throttle freeze thaw kill; do
	like "$(</run/acts)" " $kind [^ ]+ uid 0" "events know who did it: $kind"
done

# ---- a guard that comes again, and whose policy does not know it any more

scope four tenant-job.slice -p CPUWeight=100 sleep 1000
FOUR=$CG
wait_for 20 'ctl throttle four.scope cpu=20% --for 10min; [ $CTL_STATUS = 0 ]' "throttled for ten minutes"
is "$(cg "$FOUR" cpu.max)" "20000 100000" "and it is"
policy_set <<<$'[Host]\nMode=enforce'
systemctl restart bailiffd.service
wait_for 60 '[ "$(cg "$FOUR" cpu.max)" = "max 100000" ]' "what no policy names is given back"
wait_for 10 '[ "$(leases)" = 0 ]' "and no lease is left"
like "$(guard_log)" 'four.scope: the policy does not name it any more: CPUQuota is infinity again' "it is said"
done_testing
