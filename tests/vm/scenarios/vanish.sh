# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# Containers that vanish between being found, looked up, read and written, while the policy is loaded again and
# again: that is nobody's error, and no limit ever lands on an ancestor (PID 1 answers a question
# about a scope that is gone with the slice above it).
#
#   system.slice                    \
#   tenant.slice                     > their limits are the same before and after
#   ├── tenant-a.slice              /  tenant a, by slice
#   │   └── v<n>.scope                 lives for as long as `true` runs
#   └── docker-<64 hex>.scope          no unit; made and removed in a row
#   docker
#   └── <64 hex>                       the same without systemd's names
#
# timeout: 150

SECONDS_OF_STORM=20

# Every limit of the root's children, of what is in system.slice, and of the tenant's slices.
# (Counters are no limits; what a scope holds that comes and goes is its own.)
limits() {
	local dir file value
	for dir in "$CGROOT"/{*/,system.slice/*.service/,tenant.slice/*.slice/}; do
		dir=${dir#"$CGROOT"}
		for file in memory.{min,low,high,max,swap.max} cpu.{max,max.burst,weight} pids.max io.{max,weight,latency}; do
			cg_limit value "$dir" $file
			printf '%s%s %s\n' "$dir" $file "$value"
		done
	done
}
policy() {  # TASKS
	policy_set <<-EOP
		[Host]
		Mode=ceilings

		[Defaults]
		ContainerTasksMax=$1
		ContainerMemoryMax=64M

		[Tenant a]
		Match=slice=tenant-a.slice
		ContainerTasksMax=$1
		ContainerCPUQuota=50%
	EOP
}

policy 40
mkdir -p $CGROOT/docker
echo '+memory +pids' >$CGROOT/docker/cgroup.subtree_control
# a scope that stays keeps the slice, and says when the guard is at work
scope stay tenant-a.slice sleep 1000
guard_start
wait_for 30 '[ "$(cg $CG pids.max)" = 40 ]' "the scope that stays is held"
wait_for 30 '[ "$(systemctl show --value --property=TasksMax stay.scope)" = 40 ]' "systemd is told"
pid=$(systemctl show --value --property=MainPID bailiffd.service)
before=$(limits)
num "$(wc -l <<<"$before")" '>' 20 "limits of ancestors are looked at: $(wc -l <<<"$before")"

# ---- a cgroup with a scope's name that no unit owns: PID 1 will answer with tenant.slice

printf -v id '%064x' 77777
mkdir "$CGROOT/tenant.slice/docker-$id.scope"
wait_for 20 '[ "$(cg tenant.slice/docker-$id.scope pids.max)" = 40 ]' "a scope's cgroup without a scope is held"
nap 3 # for all that it may want to ask
ctl show "/tenant.slice/docker-$id.scope" --json
is "$(jq -c '[.unit, ([.limits[].state] | unique[])]' <<<"$CTL_OUT")" '[null,"kernel-only"]' "in the kernel only: nobody else's unit is told"
rmdir "$CGROOT/tenant.slice/docker-$id.scope"
is "$(diff <(printf '%s\n' "$before") <(limits) || :)" "" "no limit of an ancestor has changed"

# ---- the storm

(
	i=0 alive=() lives=(0.01 0.27 0.4 0.7 1.5)
	while [ ! -e /run/calm ]; do
		for _ in {1..40}; do
			printf -v id '%064x' $((0x123456789 + i++))
			alive+=("$CGROOT/docker/$id" "$CGROOT/tenant.slice/docker-$id.scope")
		done
		mkdir "${alive[@]}"
		# at once, when it stops waiting for their names, while it writes, while it asks PID 1 for the unit
		nap ${lives[i / 40 % 5]}
		rmdir "${alive[@]}"
		alive=()
	done
	echo $((i * 2)) >/run/vanished
) &
storm=$!
scopes=0 reloads=0 start=$EPOCHSECONDS
while ((EPOCHSECONDS - start < SECONDS_OF_STORM)); do
	policy $((40 + ++reloads % 2))
	bailiffctl reload >/dev/null &
	for _ in 1 2 3; do
		scopes=$((scopes + 1))
		systemd-run --quiet --scope --collect --unit=v$scopes --slice=tenant-a.slice true &
	done
	wait -n || :
	nap 0.3
done
echo >/run/calm
wait $storm
until_true 30 '! compgen -G "$CGROOT/tenant.slice/tenant-a.slice/v*.scope" >/dev/null' || not_ok "the short-lived scopes are gone"
diag "$(</run/vanished) cgroups made and removed, $scopes scopes of PID 1, $reloads reloads"
num "$(</run/vanished)" '>=' 200 "many a container vanished"
num $scopes '>=' 10 "many a scope, too"
ctl events --json
num "$(jq '[.events[] | select(.kind == "set" and (.cgroup // "" | contains("/docker")))] | length' <<<"$CTL_OUT")" '>=' 20 \
	"some lived long enough to be written to"

# ---- what is left

policy 40
ctl reload
is "$CTL_STATUS" 0 "the guard loads a policy still"
wait_for 20 '[ "$(cg tenant.slice/tenant-a.slice/stay.scope pids.max)" = 40 ]' "and holds the scope that stays"
is "$(systemctl show --value --property=MainPID bailiffd.service)" "$pid" "it is the same process"
after=$(limits)
is "$(diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") || :)" "" "no limit of an ancestor, of system.slice or of the tenant's slice has changed"
is "$(systemctl show --value --property=MemoryMax,TasksMax tenant-a.slice tenant.slice system.slice | sort -u)" "$(printf '\ninfinity')" \
	"nor a property of theirs"
is "$(compgen -G '/run/systemd/system.control/*.slice.d/*' || :)" "" "no drop-in was left for a slice"
# 4 is warning; an err or warning about a container would be an error that nobody made
is "$(guard_log --priority=warning | head -n 20)" "" "the journal has no complaint of the guard"
wait_for 20 '[ "$(ctl status --json; jq .counts.containers <<<"$CTL_OUT")" = 1 ]' "one container is listed"
ctl status --json
is "$(jq -c '[.tree.failures // 0, .counts.drifted, .ledger.damaged]' <<<"$CTL_OUT")" '[0,0,0]' "nothing failed"
num "$(jq .ledger.records <<<"$CTL_OUT")" '<=' 3 "the ledger knows of the one only"
done_testing
