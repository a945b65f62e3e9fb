# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# Guard and thaw helper are killed together while somebody is frozen: the lease is all that is left, and any of those that
# look at it thaws: the next guard, bailiff-unlease.service, bailiff-lapse.service. Where that fails it stays on file, and is
# tried again. Who paused the container meanwhile, as an engine does, keeps it paused, though the guard hung and never knew.
#
#   tenant.slice
#   └── tenant-spin.slice/spin.scope    tenant spin
#
# timeout: 150

FREEZE=$CGROOT/tenant.slice/tenant-spin.slice/spin.scope/cgroup.freeze
UNIT=/run/systemd/system
frozen() { cg_key "$SPIN" cgroup.events frozen; }
answers() { ctl status --json && [ "$CTL_STATUS" = 0 ]; }
helper() { grep -l bailiff-thaw $(sed 's|.*|/proc/&/comm|' "$CGROOT/bailiff.slice/bailiffd.service/cgroup.procs") 2>/dev/null | cut -d/ -f3; }
freeze() {
	ctl freeze spin.scope --for 300s
	until_true 10 '[ "$(frozen)" = 1 ]' || not_ok "spin is frozen" "$CTL_ERR"
}
# A stopped guard starts no other helper.
both_killed() {
	local guard
	guard=$(guard_pid)
	kill -STOP "$guard"
	kill -9 "$(helper)"
	kill -9 "$guard"
	until_true 10 '[ "$(systemctl show -P ActiveState bailiffd.service)" = failed ]' || not_ok "the guard is gone"
	systemctl stop bailiff-unlease.timer bailiff-lapse.timer
}
guard_again() {
	systemctl reset-failed bailiffd.service
	guard_start
	until_true 30 answers || not_ok "it answers"
}

policy_set <<'P'
[Host]
Mode=enforce
StartupGraceSec=0
[Tenant spin]
Match=slice=tenant-spin.slice
P
scope spin tenant-spin.slice sleep 1000
SPIN=$CG
mkdir -p $UNIT/bailiffd.service.d
printf '[Service]\nRestart=no\nExecStopPost=\n' >$UNIT/bailiffd.service.d/50-alone.conf
systemctl daemon-reload
guard_start
until_true 30 answers || not_ok "it answers"

# ---- the next guard, bailiff-unlease, bailiff-lapse

freeze
both_killed
is "$(frozen)" 1 "guard and helper are killed together: it is frozen still"
guard_again
wait_for 10 '[ "$(frozen)" = 0 ]' "the next guard thaws it"
is "$(leases)" 0 "and the lease is over"
for unit in bailiff-unlease bailiff-lapse; do
	freeze
	both_killed
	is "$(frozen)" 1 "once more: frozen still"
	check "$unit" systemctl start $unit.service
	wait_for 5 '[ "$(frozen)" = 0 ]' "thaws it"
	guard_again
	is "$(leases)" 0 "and the lease is over"
done

# ---- it cannot be thawed at first

freeze
both_killed
mkdir -p $UNIT/bailiff-unlease.service.d
printf '[Service]\nInaccessiblePaths=%s\n' "$FREEZE" >$UNIT/bailiff-unlease.service.d/50-blind.conf
systemctl daemon-reload
systemctl start bailiff-unlease.service && status=0 || status=$?
isnt $status 0 "bailiff-unlease cannot read cgroup.freeze: it fails"
diag "$(journalctl -u bailiff-unlease.service -o cat | tail -n 5)"
is "$(frozen)" 1 "it is frozen still"
rm $UNIT/bailiff-unlease.service.d/50-blind.conf
systemctl daemon-reload
wait_for 30 '[ "$(frozen)" = 0 ]' "tried again, it thaws"
guard_again
is "$(leases)" 0 "and the lease is over"

# ---- paused by somebody else, which the guard never knows

rm $UNIT/bailiffd.service.d/50-alone.conf
systemctl daemon-reload
freeze
pid=$(guard_pid)
kill -STOP "$pid"
echo 1 >"$FREEZE"
nap 1
kill -9 "$pid"
wait_for 30 '[ "$(guard_pid)" != '"$pid"' ] && answers' "a guard that hangs while an engine pauses what we froze: another is there"
nap 3
is "$(cat "$FREEZE")" 1 "and lets the pause be"
is "$(leases)" 0 "no lease is left"
echo 0 >"$FREEZE"
done_testing
