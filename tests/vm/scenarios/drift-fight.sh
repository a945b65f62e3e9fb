# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# Somebody rewrites a limit each second: repairs back off (at once, then 1, 2, 4 ... 60 s apart), one
# alarm is raised, PID 1 is not kept busy, and others are held as quickly as ever. When he stops,
# the limit is repaired.
#
#   tenant.slice
#   └── tenant-a.slice     tenant a
#       ├── loud.scope     its pids.max and memory.max are set to max each second, raw
#       └── calm.scope     its neighbour
#
# timeout: 180

a=tenant.slice/tenant-a.slice
SECONDS_OF_FIGHT=50

holds() {  # PATH FILE VALUE
	cg_read REPLY "$1" "$2"
	[ "$REPLY" = "$3" ]
}
limit() {  # CONTAINER LIMIT FILTER
	ctl show "$1" --json
	jq -r ".limits[] | select(.limit == \"$2\") | $3" <<<"$CTL_OUT"
}
events() {  # FILTER: prints how many
	ctl events --json
	jq "[.events[] | select($1)] | length" <<<"$CTL_OUT"
}
cpu_usec() { cg_key "$1" cpu.stat usage_usec; }

policy_set <<EOP
[Host]
Mode=ceilings

[Tenant a]
Match=slice=tenant-a.slice
ContainerMemoryMax=64M
ContainerTasksMax=50
EOP
scope loud tenant-a.slice sleep 1000
scope calm tenant-a.slice sleep 1000
guard_start
wait_for 30 "holds $a/loud.scope pids.max 50 && holds $a/calm.scope pids.max 50" "both are held"
wait_for 30 '[ "$(systemctl show --value --property=TasksMax loud.scope calm.scope | tr -d "\n")" = 5050 ]' "systemd is told"

# ---- the fight

guard_before=$(cpu_usec bailiff.slice/bailiffd.service) init_before=$(cpu_usec init.scope)
rewrites=0 start=$EPOCHSECONDS
while ((EPOCHSECONDS - start < SECONDS_OF_FIGHT)); do
	echo max >$CGROOT/$a/loud.scope/pids.max
	echo max >$CGROOT/$a/loud.scope/memory.max
	rewrites=$((rewrites + 1))
	nap 1
done
guard_cpu=$((($(cpu_usec bailiff.slice/bailiffd.service) - guard_before) / 1000))
init_cpu=$((($(cpu_usec init.scope) - init_before) / 1000))
repairs=$(limit loud.scope TasksMax .repairs) drifts=$(limit loud.scope TasksMax .drifts)
diag "$rewrites rewrites in $SECONDS_OF_FIGHT s, each repaired ${repairs} (tasks), $(limit loud.scope MemoryMax .repairs) (memory) times," \
	"drifts counted: $drifts; CPU: guard $guard_cpu ms, PID 1 $init_cpu ms"
# at once and then 1, 2, 4, 8, 16 s apart: six repairs in 50 s, the seventh after 63
num "$repairs" '>=' 5 "the limit is repaired again and again"
num "$repairs" '<=' 7 "ever less often"
num "$(limit loud.scope MemoryMax .repairs)" '<=' 7 "so is the other one"
is "$(events '.kind == "fight" and .limit == "TasksMax"')" 1 "exactly one alarm for the one limit"
is "$(events '.kind == "fight" and .limit == "MemoryMax"')" 1 "and one for the other"
ctl events --json
like "$(jq -r '[.events[] | select(.kind == "fight")] | last.text' <<<"$CTL_OUT")" 'back off.*bailiffctl hold loud.scope --for' \
	"it says what happens and how to accept the value"
num "$(events '.kind == "drift" and .container == "loud.scope"')" '<=' 10 "from then on drifts are counted only"
ctl status --json
is "$(jq .drift.fights <<<"$CTL_OUT")" 2 "status counts two fights"
is "$(journalctl --quiet --boot MESSAGE_ID=2de88f504f444c2083f5f9962f6908c6 --output=cat | wc -l)" 2 "so does the journal"
is "$(limit loud.scope TasksMax '"\(.state) \(.cause)"')" "drifted raw write" "show: drifted, by raw writes"
# 1000 ms of each in 10 s would be a tenth of a core (emulated)
num $init_cpu '<' $((SECONDS_OF_FIGHT * 20)) "PID 1 spent less than 2 % of a core on it"
num $guard_cpu '<' $((SECONDS_OF_FIGHT * 50)) "the guard less than 5 % (emulated)"

# ---- the neighbour, and the end

echo max >$CGROOT/$a/calm.scope/pids.max
wait_for 5 "holds $a/calm.scope pids.max 50" "the neighbour's limit is repaired at once meanwhile"
is "$(events '.kind == "fight" and .container == "calm.scope"')" 0 "which is no fight"
wait_for 65 "holds $a/loud.scope pids.max 50 && holds $a/loud.scope memory.max $((64 << 20))" \
	"when he stops, the limits are repaired within a minute"
is "$(events '.kind == "fight"')" 2 "and that is no new alarm"
done_testing
