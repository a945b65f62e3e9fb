# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# What takes a ceiling away is found, named by its cause and repaired; what only looks like it is not
# drift. Each kind once: daemon-reload, systemctl revert, docker update (up: capped; down: respected; up
# again below policy: followed), SetUnitProperties by somebody who plays engine, raw writes both ways;
# and as non-drift: our own echoes, bytes that are no whole page, a quota that is no whole percent.
#
#   tenant.slice
#   └── tenant-warm.slice        tenant warm: 100000001 bytes (no whole page), quota 15.5 %
#       └── docker-<id>.scope    warm: Docker says 64 MB, 50 tasks, half a CPU; policy 48 MB, burst 5 ms
#   batch.slice                  nobody's slice
#   └── part.scope               tenant batch, by path: its sum is apportioned, a lease systemd is not told
#
# shape: docker
# timeout: 150

MB=$((1 << 20))

# Events since the last `mark`; the status counters.
mark() {
	ctl events --json
	MARK=$(jq '[.events[].id, 0] | max' <<<"$CTL_OUT")
}
events() {  # FILTER: prints how many there are
	ctl events --json
	jq --argjson mark "$MARK" "[.events[] | select(.id > \$mark and ($1))] | length" <<<"$CTL_OUT"
}
event_text() {  # FILTER: of the last one
	ctl events --json
	jq -r --argjson mark "$MARK" "[.events[] | select(.id > \$mark and ($1))] | last | .text" <<<"$CTL_OUT"
}
drifts() {
	ctl status --json
	jq -r '.drift | "\(.found) \(.repaired) \(.fights)"' <<<"$CTL_OUT"
}
limit() {  # CONTAINER LIMIT FILTER
	ctl show "$1" --json
	jq -r ".limits[] | select(.limit == \"$2\") | $3" <<<"$CTL_OUT"
}
property() {  # UNIT PROPERTY
	systemctl show --value --property="$2" "$1"
}
holds() {  # PATH FILE VALUE
	cg_read REPLY "$1" "$2"
	[ "$REPLY" = "$3" ]
}

policy_set <<EOP
[Host]
Mode=ceilings
OperatorHoldSec=0

[Tenant wa]
Match=slice=tenant-warm.slice
MemoryMax=100000001
CPUQuota=15.5%
ContainerMemoryMax=48M
ContainerCPUBurst=5ms

[Tenant batch]
Match=path=/batch.slice/*.scope
MemoryMax=200M
EOP

warm=$(echo $CGROOT/tenant.slice/tenant-warm.slice/docker-*.scope)
warm=${warm#"$CGROOT/"}
slice=tenant.slice/tenant-warm.slice
scope part batch.slice sleep 1000
part=$CG
guard_start
MARK=0

# ---- what is not drift

wait_for 30 "holds $warm memory.max $((48 * MB))" "warm is held"
wait_for 30 "holds $warm cpu.max.burst 5000" "its burst too, which systemd has no property for"
wait_for 30 "[ \"\$(property docker-*.scope MemoryMax)\" = $((48 * MB)) ]" "systemd has been told"
is "$(cg $slice memory.max)" $((100000001 / 4096 * 4096)) "the kernel keeps whole pages of 100000001 bytes"
wait_for 30 "[ \"\$(property tenant-warm.slice CPUQuotaPerSecUSec)\" = 155ms ]" "the slice's quota is told to systemd as well"
wait_for 30 "holds $part memory.max $((200 * MB))" "part has its share of the sum: all of it"
quota=$(cg $slice cpu.max)
systemctl daemon-reload
like "$(cg $slice cpu.max)" '^15[0-9]+ |^1[56][0-9]{3} ' "after a reload the quota is about what it was"
diag "cpu.max of the slice: $quota, then $(cg $slice cpu.max)"
wait_for 5 "[ \$(events '.kind == \"drift\" and .cgroup == \"/$part\" and .cause == \"reload\"') = 1 ]" \
	"part's share, which systemd does not know, was lost by the reload"
wait_for 5 "holds $part memory.max $((200 * MB))" "and is back"
ctl reload
is "$CTL_STATUS" 0 "the policy is loaded again"
nap 2
is "$(events ".kind == \"drift\" and .cgroup != \"/$part\"")" 0 "our own echoes, pages and percents are no drift"
is "$(drifts)" "1 1 0" "the counters: one drift, one repair, no fight"

# ---- a property that systemd loses

mark
systemctl revert tenant-warm.slice
wait_for 5 "holds $slice memory.max $((100000001 / 4096 * 4096))" "systemctl revert of the slice is repaired"
wait_for 5 "[ \$(events '.kind == \"drift\" and .cgroup == \"/$slice\" and .cause == \"reload\" and .saw_text == \"infinity\"') = 2 ]" \
	"the cause of both (memory, CPU): reload"
wait_for 30 "[ \"\$(property tenant-warm.slice MemoryMax)\" = $((100000001 / 4096 * 4096)) ] ||
	[ \"\$(property tenant-warm.slice MemoryMax)\" = 100000001 ]" "systemd is told again"

# ---- docker update

mark
docker update --memory 60m --memory-swap 60m warm >/dev/null 2>&1
wait_for 5 "holds $warm memory.max $((48 * MB))" "docker update to 60 MB is capped at policy's 48"
wait_for 5 "[ \$(events '.kind == \"drift\" and .cause == \"engine\" and .saw_text == \"60M\"') -ge 1 ]" "its cause: engine"
like "$(event_text '.kind == "capped"')" 'raised to 60M.*48M.*bailiffctl hold warm --for' "the event prints the hold command"
is "$(events '.kind == "capped"')" 1 "one such event"
is "$(limit warm MemoryMax .want)" $((60 * MB)) "what Docker wants now is remembered"
mark
docker update --memory 40m --memory-swap 40m warm >/dev/null 2>&1
wait_for 5 "holds $warm memory.max $((40 * MB))" "docker update to 40 MB stands"
docker update --memory 44m --memory-swap 44m warm >/dev/null 2>&1
wait_for 5 "holds $warm memory.max $((44 * MB))" "and to 44 MB, up but below policy, too"
nap 3
is "$(cg "$warm" memory.max)" $((44 * MB)) "it stands three seconds later"
is "$(events '.kind == "drift" or .kind == "capped"')" 0 "neither is drift"

# ---- somebody who plays engine: a property, the engine's configuration does not say so

mark
systemctl set-property --runtime "${warm##*/}" MemoryMax=90M
wait_for 5 "! holds $warm memory.max $((90 * MB)) && [ \"\$(cg $warm memory.max)\" -le $((48 * MB)) ]" \
	"SetUnitProperties(MemoryMax=90M) on the container is repaired"
wait_for 5 "[ \$(events '.kind == \"drift\" and .saw_text == \"90M\" and .cause == \"property\"') = 1 ]" "its cause: property"
is "$(events '.kind == "hold"')" 0 "on an engine's container it is no operator's hold"

# ---- raw writes

mark
echo max >"$CGROOT/$warm/memory.max"
start=$EPOCHREALTIME
wait_for 5 "[ \"\$(cg $warm memory.max)\" != max ] && [ \"\$(cg $warm memory.max)\" -le $((48 * MB)) ]" \
	"a raw write of max is repaired within 5 s"
diag "repaired after $(elapsed "$start") s"
wait_for 5 "[ \$(events '.kind == \"drift\" and .limit == \"MemoryMax\" and .cause == \"raw write\"') = 1 ]" "its cause: raw write"
echo 1000 >"$CGROOT/$warm/cpu.max.burst"
wait_for 5 "holds $warm cpu.max.burst 5000" "so is one of the burst, which is policy's alone"
echo 20 >"$CGROOT/$warm/pids.max"
echo $((32 * MB)) >"$CGROOT/$warm/memory.max"
nap 3
is "$(cg "$warm" memory.max) $(cg "$warm" pids.max)" "$((32 * MB)) 20" "raw writes that are tighter are left"
is "$(events '.kind == "drift" and (.saw_text == "32M" or .limit == "TasksMax")')" 0 "and no drift"
is "$(limit warm MemoryMax .state)" ok "in show: ok"
ctl status --json
is "$(jq '.drift.found == .drift.repaired and .drift.fights == 0 and .counts.drifted == 0' <<<"$CTL_OUT")" true \
	"at the end: as many repairs as drifts, no fight, nothing drifted now"
diag "found, repaired, fights: $(drifts)"
done_testing
