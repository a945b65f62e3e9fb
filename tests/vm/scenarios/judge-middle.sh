# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# What may happen in the middle of an episode: another policy, an operator's hold, a pause of the whole host, the end of the
# culprit and another one under its name, PID 1 and an operator who write to the same file, and the engine's own pause during a
# freeze pulse. Each time what the guard held is given
# back or goes on as it should, and nothing of the old one is mistaken for the new.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: 40 % of a CPU in requests; CPUGuarantee=60%
#   └── tenant-spin.slice/spin.scope    tenant spin: weight 2000, 16 threads; for the last part only freezing is allowed
#
# timeout: 400

frozen() { cg_key "$SPIN" cgroup.events frozen; }
throttled() { [[ $(cg "$SPIN" cpu.max) =~ ^[0-9] ]]; }
# More tightly than the operator's 150 %.
tightly() {
	local quota period
	read -r quota period <<<"$(cg "$SPIN" cpu.max)"
	[[ $quota =~ ^[0-9]+$ ]] && ((quota * 100 < period * 150))
}
free() { [[ $(cg "$SPIN" cpu.max) = max* ]]; }
# Events from now on.
mark_events() { n=$(acts | wc -l); }
new_acts() { acts | tail -n +$((n + 1)); }
again() {  # TEXT: the noise begins, and is throttled
	mark_events
	go spin
	wait_for 60 "throttled" "$1"
}

noise_policy </dev/null
noise_pair
guard_start
nap 3
again "spin is throttled"

# ---- policy

noise_policy </dev/null
ctl reload
is $CTL_STATUS 0 "the same policy is loaded"
check "it is throttled on" throttled
noise_policy <<<'Mode=observe'
ctl reload
wait_for 5 free "a policy that only observes it: given back at once"
nap 6
check "and it stays so" free
noise_policy </dev/null
ctl reload
wait_for 60 throttled "the first policy again: throttled again"

# ---- hold

ctl hold spin.scope --for 10m --reason test
is $CTL_STATUS 0 "hold"
wait_for 5 free "a hold: given back at once"
nap 8
check "and it stays so" free
why_says spin.scope '[Hh]old|held' "why says that it is held"
ctl unhold spin.scope
wait_for 60 throttled "unhold: throttled again"

# ---- pause

ctl pause
since=$EPOCHREALTIME
wait_for 5 free "a pause of the host: given back at once"
diag "$(elapsed "$since") s"
nap 6
check "and it stays so" free
ctl resume
wait_for 60 throttled "resume: throttled again"

# ---- it ends, and another one comes under its name

id=$(stat -c %i "$CGROOT/$SPIN")
kill -9 "${LOAD_PID[spin]}"
until_true 20 "! cg_exists '$SPIN'" || not_ok "spin is gone"
wait_for 10 '[ "$(leases)" = 0 ]' "it ends: no lease is left of it"
scope spin tenant-spin.slice -p CPUWeight=100 "$HOG" -i -n 16 -s 600 -o $LOADS/spin cpu
load_ready spin
isnt "$(stat -c %i "$CGROOT/$SPIN")" "$id" "another one has its name"
nap 3
check "it is not throttled for what the one before did" free
again "until it does the same"
ctl events --json
is "$(jq "[.events[] | select(.kind == \"throttle\") | .cgroup_id] | last" <<<"$CTL_OUT")" "$(stat -c %i "$CGROOT/$SPIN")" "the event has its id"

# ---- PID 1 and an operator write there, too

systemctl daemon-reload
nap 3
check "a daemon-reload: it is throttled on" tightly
systemctl set-property --runtime spin.scope CPUQuota=150%
wait_for 10 tightly "an operator sets a quota: it is throttled below that"
systemctl daemon-reload
nap 3
check "and so it stays with another daemon-reload" tightly
diag "cpu.max $(cg "$SPIN" cpu.max), systemd's $(systemctl show --value --property=CPUQuotaPerSecUSec spin.scope)"
is "$(systemctl show --value --property=CPUQuotaPerSecUSec spin.scope)" 1.500000s "systemd knows the operator's quota only"
rest spin
wait_for 90 '[ "$(leases)" = 0 ]' "the noise stops: all is given back"
is "$(cg "$SPIN" cpu.max)" "150000 100000" "which is the operator's quota"
systemctl set-property --runtime spin.scope CPUQuota=
wait_for 10 free "he takes it back"

# ---- freeze pulses, and an engine's pause

noise_policy <<<'Throttle=freeze'
ctl reload
mark_events
go spin
wait_for 60 '[ "$(frozen)" = 1 ]' "where only freezing is allowed it is frozen"
wait_for 10 '[ "$(frozen)" = 0 ]' "for a moment"
until_true 30 '[ "$(frozen)" = 1 ]' || not_ok "it is frozen once more" "$(new_acts)"
echo 1 >"$CGROOT/$SPIN/cgroup.freeze" # what an engine does for its own pause
nap 12
is "$(frozen)" 1 "an engine pauses it during a pulse: the pause stays"
diag "$(new_acts)"
echo 0 >"$CGROOT/$SPIN/cgroup.freeze"
rest spin
wait_for 90 '[ "$(leases)" = 0 ]' "no lease is left"
is "$(frozen)" 0 "and nobody is frozen"
is "$(acts ' (stop|kill) ')" "" "in all this nobody is killed"
done_testing
