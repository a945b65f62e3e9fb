# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# Ten hogs at once, all of them eating memory, with a little swap: the worst ones first, no more kills than the budget
# allows, and never one that may not be killed or touched. When many have died, of whatever, the storm breaker trips: no kills. A
# guard that is killed leaves what is left of the budget to the next one; what cannot be read counts as spent.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope                tenant web: a working set of 80M
#   ├── tenant-many.slice/h0.scope ... h7.scope   tenant many: 4 to 18M more each second, up to 160M. Kill=prefer
#   ├── tenant-never.slice/never.scope            tenant never: 24M a second, up to 160M. Kill=never
#   └── tenant-safe.slice/safe.scope              tenant safe: the same; Protect= names it
#
# memory: 1024
# disks: 1024 2048
# timeout: 400

budget() {  # prints how many kills are left
	ctl status --json
	jq .judge.kill_budget_left <<<"$CTL_OUT"
}
budget_is_known() { [[ $(budget) =~ ^[0-9] ]]; }

policy_set <<-'EOP'
	[Host]
	Mode=enforce
	StartupGraceSec=0
	MaxThrottled=100%
	KillBudget=3/1h
	StormLimit=30%/60s
	Protect=tenant-safe.slice

	[Defaults]
	PressureWindowSec=2s

	[Tenant web]
	Match=slice=tenant-web.slice

	[Tenant many]
	Match=slice=tenant-many.slice
	Kill=prefer
	KillGraceSec=1s

	[Tenant never]
	Match=slice=tenant-never.slice
	Kill=never

	[Tenant safe]
	Match=slice=tenant-safe.slice
	Kill=prefer
EOP
mkswap /dev/vm/disk2 >/dev/null
swapon /dev/vm/disk2
scope web tenant-web.slice -p MemoryAccounting=yes "$VICTIM" -s 600 -m 80 -t 64 -o $LOADS/web memory
load_ready web
WEB=$CG
hogs=()
for i in {0..7}; do
	scope h$i tenant-many.slice -p MemoryAccounting=yes "$HOG" -i -s 600 -m 160 -r $((4 + 2 * i)) -o $LOADS/h$i memory
	load_ready h$i
	hogs+=("h$i")
done
for name in never safe; do
	scope $name tenant-$name.slice -p MemoryAccounting=yes "$HOG" -i -s 600 -m 160 -r 24 -o $LOADS/$name memory
	load_ready $name
done
guard_start
nap 4
measure web 4 "alone"
since=$EPOCHREALTIME
go "${hogs[@]}" never safe
wait_for_act 90 ' (throttle|kill) ' "somebody is held back" "$since"
for _ in 1 2 3; do measure web 10 "beside ten hogs"; done
acts >/run/acts
diag "$(</run/acts)"
kills=$(grep -cE '^[0-9]+ kill ' /run/acts || :)
num "$kills" '<=' 3 "the budget is kept: $kills killed"
first=$(grep -m 1 -E '^[0-9]+ (throttle|kill) ' /run/acts)
like "$first" ' (h[4-7]|never)\.scope' "one of the worst comes first: $first"
is "$(grep -E ' (throttle|freeze|stop|kill) safe' /run/acts || :)" "" "what is protected is never touched"
is "$(grep -E ' (stop|kill) never' /run/acts || :)" "" "what must not be killed is not"
for name in never safe web; do
	if [ "$(cg_key "${LOAD_CG[$name]}" memory.events oom_kill 2>/dev/null)" = 0 ]; then
		check "$name lives" kill -0 "${LOAD_PID[$name]}"
	else
		not_ok "$name was not taken by the kernel's OOM killer"
	fi
done
is "$(grep -E ' (throttle|freeze|stop|kill) web' /run/acts || :)" "" "nor is the victim"
alive=()
for name in "${hogs[@]}"; do kill -0 "${LOAD_PID[$name]}" 2>/dev/null && alive+=("$name"); done
diag "${#alive[@]} of ${#hogs[@]} hogs live"

wait_for 90 '[ "$(budget)" -lt 3 ]' "some of the budget is spent"

# ---- a storm: four die at once, of something else

for name in "${alive[@]:0:4}"; do kill -9 "${LOAD_PID[$name]}"; done
wait_for 30 'ctl status --json; [ "$(jq .judge.in_storm <<<"$CTL_OUT")" = true ]' "many die at once: the storm breaker trips"
# from then on: one that it had decided upon a moment before is none of this
kills=$(acts '^[0-9]+ kill ' | wc -l)
nap 10
is "$(acts '^[0-9]+ kill ' | wc -l)" "$kills" "and nobody is killed"
ctl events --json
num "$(jq '[.events[] | select(.kind == "storm")] | length' <<<"$CTL_OUT")" '>=' 1 "an event tells of the storm"
rest "${alive[@]:4}" never safe
measure web 5 "afterwards"
wait_for 120 '[ "$(leases)" = 0 ]' "all rest: everything is given back"

# ---- the guard is killed: nobody does harm any more, so nothing is spent meanwhile

left=$(budget)
num "$left" '<' 3 "some of the budget is spent: $left left"
pid=$(guard_pid)
kill -9 "$pid"
wait_for 60 '[ "$(guard_pid)" != '"$pid"' ] && budget_is_known' "killed: another guard is there"
is "$(budget)" "$left" "it begins with what the one before left of the budget"

# ---- what is on file

spent() {  # TEXT: a guard that starts now may kill nobody, and says so; nor the one after it, which does not
	guard_start
	wait_for 60 '[ "$(budget)" = 0 ]' "$1: the budget counts as spent"
	told=$(guard_log | grep -c 'file of kills.*counts as spent' || :)
	guard_stop
	guard_start
	wait_for 60 '[ "$(budget)" = 0 ]' "$1: for the next guard, too"
	is "$(guard_log | grep -c 'file of kills.*counts as spent' || :)" "$told" "$1: which has nothing to tell"
	guard_stop
}
guard_stop
rm /run/bailiff/kills
guard_start
wait_for 60 '[ "$(budget)" = 3 ]' "no file: as after a boot"
guard_stop
head -c 300 /dev/zero | tr '\0' '\377' | dd of=/run/bailiff/kills bs=1 seek=4096 conv=notrunc status=none
spent "a record that nobody can read"
rm /run/bailiff/kills
echo nonsense >/run/bailiff/kills
spent "a file that is none"
check "it is kept, for who wants to look at it" [ -s /run/bailiff/kills.old ]
rm /run/bailiff/kills
dd if=/dev/zero of=/run/bailiff/full bs=1M status=none 2>/dev/null || :
guard_start
wait_for 60 '[ "$(budget)" = 3 ]' "/run is full: a guard runs, with a budget of its own"
like "$(guard_log)" 'no file for kills.*fresh kill budgets' "and says what follows from that"
rm /run/bailiff/full
done_testing
