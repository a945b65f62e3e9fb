# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# The guard ends in every way that it can, in the middle of an episode. Killed while it throttles: the next one goes on
# with the same leases, and gives them back when it is calm. Killed, stopped dead or hung while somebody is frozen: thawed all
# the same, whoever asked for it. /run full: who is frozen is thawed, who hurts others throttled. Stopped for good: all is given
# back within a minute; uninstalled or asked to let go of everything: at once, its drop-ins, too.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: 40 % of a CPU in requests; CPUGuarantee=60%
#   └── tenant-spin.slice/spin.scope    tenant spin: weight 2000, 16 threads
#
# timeout: 400

frozen() { cg_key "$SPIN" cgroup.events frozen; }
throttled() { [[ $(cg "$SPIN" cpu.max) != max* ]]; }
# Ceilings of the policy are in the kernel's files and in drop-ins.
drop_ins() {
	find /run/systemd/system.control /run/systemd/transient /etc/systemd/system.control -name '*.conf' \
		-path '*spin.scope*' 2>/dev/null | sort || :
}
ceiling() { [ "$(cg "$SPIN" pids.max)" = 400 ]; }
as_before() { [ "$(limit_tree tenant.slice)" = "$before" ]; }
answers() { ctl status --json && [ "$CTL_STATUS" = 0 ]; }
freeze() {  # SPAN
	ctl freeze spin.scope --for "$1"
	until_true 10 '[ "$(frozen)" = 1 ]' || not_ok "spin is frozen for $1" "$CTL_ERR"
}

# What the loads say goes elsewhere: /run will be full.
mount -t tmpfs none $LOADS
noise_policy </dev/null
noise_pair
guard_start
nap 3
before_drop_ins=$(drop_ins)
before=$(limit_tree tenant.slice)

# ---- killed while it throttles

since=$EPOCHREALTIME
go spin
wait_for_act 40 ' throttle spin' "spin is throttled" "$since"
"$REFLEX" -s 300 watch "$CGROOT/$SPIN/cpu.max" >$LOADS/watch &
watcher=$!
until_true 10 "grep -q ready $LOADS/watch"
pid=$(guard_pid)
kill -9 "$pid"
check "killed: it is throttled on" throttled
wait_for 30 '[ "$(guard_pid)" != '"$pid"' ] && answers' "another guard is there"
check "it is throttled still" throttled
diag "$(<$LOADS/watch)"
unlike "$(<$LOADS/watch)" ' max' "and was, all the while"
num "$(leases)" '>' 0 "the new guard has the leases"
measure web 5 "with the next guard"
rest spin
wait_for 90 as_before "the noise stops: the next guard gives back what the one before took"
kill $watcher

# ---- killed, with its helpers, while somebody is frozen

freeze 300s
pid=$(guard_pid)
kill -9 "$pid"
wait_for 5 '[ "$(frozen)" = 0 ]' "killed: who was frozen for 300 s is thawed"
wait_for 30 '[ "$(guard_pid)" != '"$pid"' ] && answers' "another guard is there"

freeze 300s
pid=$(guard_pid)
echo 1 >"$CGROOT/bailiff.slice/bailiffd.service/cgroup.kill"
wait_for 15 '[ "$(frozen)" = 0 ]' "killed with all its helpers: thawed"
wait_for 30 '[ "$(guard_pid)" != '"$pid"' ] && answers' "another guard is there"

# ---- the thaw helper alone

helper() { grep -l bailiff-thaw $(sed 's|.*|/proc/&/comm|' "$CGROOT/bailiff.slice/bailiffd.service/cgroup.procs") 2>/dev/null | cut -d/ -f3; }
freeze 300s
old=$(helper)
kill -9 "$old"
wait_for 5 '[ "$(frozen)" = 0 ]' "its helper is killed: the next one thaws"
wait_for 5 '[ "$(leases)" = 0 ]' "and then its lease is over"
until_true 10 '[ -n "$(helper)" ]' || not_ok "there is another helper"
check "another one than before" [ "$(helper)" != "$old" ]
freeze 300s
kill -9 "$(helper)" "$(guard_pid)"
wait_for 20 '[ "$(frozen)" = 0 ]' "guard and helper are killed at the same moment: thawed"
until_true 30 'answers && [ "$(leases)" = 0 ]' || not_ok "no lease is left"

# ---- hung, as in a debugger

freeze 5s
kill -STOP "$(guard_pid)"
wait_for 12 '[ "$(frozen)" = 0 ]' "a guard that hangs: the pulse ends in time"
kill -CONT "$(guard_pid)" 2>/dev/null || :
until_true 30 answers || not_ok "the guard answers again"

# ---- /run is full

dd if=/dev/zero of=/run/bailiff/full bs=1M status=none 2>/dev/null || :
freeze 4s
wait_for 12 '[ "$(frozen)" = 0 ]' "/run is full: frozen, and thawed in time"
go spin
wait_for 60 throttled "and who hurts others is throttled"
rm -f /run/bailiff/full

# ---- stopped for good

guard_stop
rest spin
check "stopped: for now it is throttled on" throttled
wait_for 60 as_before "half a minute later it is not"
diag "$(diff <(echo "$before") <(limit_tree tenant.slice) || :)"

# ---- frozen by the judge

noise_policy <<<'Throttle=freeze'
guard_start
nap 3
go spin
wait_for 60 '[ "$(frozen)" = 1 ]' "where only freezing is allowed the judge freezes it"
kill -9 "$(guard_pid)"
wait_for 5 '[ "$(frozen)" = 0 ]' "killed in the middle of the pulse: thawed"
rest spin
wait_for 60 'answers && [ "$(leases)" = 0 ]' "no lease is left for the next guard"
check "all is as before" as_before

# ---- uninstalled

noise_policy <<<'ContainerTasksMax=400'
ctl reload
wait_for 30 ceiling "a ceiling of the policy holds"
wait_for 20 '[ "$(drop_ins)" != "$before_drop_ins" ]' "and has a drop-in"
go spin
wait_for 60 throttled "throttled as well"
ctl release --ceilings
is $CTL_STATUS 0 "bailiffctl release --ceilings"
check "throttle and ceiling are gone at once" as_before
wait_for 10 '[ "$(drop_ins)" = "$before_drop_ins" ]' "and the drop-in"
nap 6
check "and it stays so" as_before
ctl resume
wait_for 60 'ceiling && throttled' "resume: both again"
guard_stop
output=$(bailiffd --release-leases 2>&1) && status=0 || status=$?
is $status 0 "bailiffd --release-leases"
like "$output" 'spin.scope' "says what it gives back"
diag "$output"
check "the throttle is gone" eval '! throttled'
check "the ceiling is not" ceiling
guard_start
wait_for 60 'ceiling && throttled' "both again, by yet another guard"
guard_stop
output=$(bailiffd --release-ceilings 2>&1) && status=0 || status=$?
is $status 0 "bailiffd --release-ceilings"
like "$output" 'TasksMax' "says what it gives back"
diag "$output"
rest spin
check "all is as before" as_before
wait_for 10 '[ "$(drop_ins)" = "$before_drop_ins" ]' "and no drop-in is left"
diag "$(drop_ins)"
output=$(bailiffd --release-leases 2>&1) || :
unlike "$output" 'spin.scope' "the second time there is nothing"
done_testing
