# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# The noise stops: within a minute every throttle is given back, each limit file of the whole tree says what it said
# before, and no drop-in of ours is there. Noise that comes and goes with a period of 7 s for two minutes: a bounded number of acts.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: 40 % of a CPU in requests; CPUGuarantee=60%
#   └── tenant-spin.slice/spin.scope    tenant spin: weight 2000, 16 threads
#
# timeout: 400

dropins() { find /run/systemd/system.control /run/systemd/transient /etc/systemd/system.control -type f 2>/dev/null | sort || :; }

noise_policy </dev/null
noise_pair
guard_start
nap 3
before=$(limit_tree tenant.slice system.slice)
dropins_before=$(dropins)
since=$EPOCHREALTIME
go spin
wait_for_act 40 ' throttle spin' "spin is throttled" "$since"
nap 5
isnt "$(leases)" 0 "leases stand: $(leases)"
rest spin
since=$EPOCHREALTIME
wait_for 90 '[ "$(leases)" = 0 ]' "it rests: all is given back"
num "$(elapsed "$since" | cut -d. -f1)" '<' 75 "within a minute, and what asking takes"
diag "$(acts)"
check "every limit file is as before" [ "$(limit_tree tenant.slice system.slice)" = "$before" ]
diag "$(diff <(echo "$before") <(limit_tree tenant.slice system.slice) || :)"
is "$(dropins)" "$dropins_before" "and no drop-in of ours is left"

# ---- it comes and goes

n=$(acts | wc -l)
events=$(acts ' (throttle|freeze) ' | wc -l)
kill "${LOAD_PID[spin]}"
until_true 20 "! cg_exists '$SPIN'" || not_ok "spin is gone"
scope spin tenant-spin.slice -p CPUWeight=100 "$HOG" -n 16 -s 120 -c 7000 -o $LOADS/spin cpu
load_ready spin
for _ in 1 2 3 4; do measure web 29 "beside noise of 7 s"; done
acts >/run/acts
diag "$(tail -n +$((n + 1)) /run/acts)"
num $(($(wc -l </run/acts) - n)) '<=' 40 "two minutes of on and off: $(($(wc -l </run/acts) - n)) acts, steps back and notes too"
num $(($(acts ' (throttle|freeze) ' | wc -l) - events)) '<=' 12 "of those that hold it back $(($(acts ' (throttle|freeze) ' | wc -l) - events))"
is "$(acts ' (stop|kill) ')" "" "nobody is killed"
until_true 20 "! cg_exists '$SPIN'" || not_ok "spin is over"
wait_for 60 '[ "$(leases)" = 0 ]' "it is gone: no lease is left"
done_testing
