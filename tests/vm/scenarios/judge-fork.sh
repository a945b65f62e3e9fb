# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# A fork bomb on a host with few process ids. With the guard it is held by pids.max before it has them all (and killed where
# its policy allows that and there is no room for others); forks elsewhere and `docker exec` go on working, and nothing
# is done to who did nothing. Then, without the guard: forks elsewhere fail. (In this order: engines break when they cannot fork.)
#
#   tenant.slice
#   ├── tenant-web.slice/docker-<id>.scope     web, tenant web: forks and runs true, five times a second; a CPU is its own
#   ├── tenant-bomb.slice/docker-<id>.scope    bomb, tenant bomb: forks as long as it can. Kill=last
#   └── tenant-bomb.slice/again.scope          the same, when the guard is gone
#
# shape: docker
# timeout: 300

policy_set <<-'EOP'
	[Host]
	Mode=enforce
	StartupGraceSec=0
	MaxThrottled=100%

	[Defaults]
	PressureWindowSec=2s

	[Tenant web]
	Match=slice=tenant-web.slice
	CPUGuarantee=100%

	[Tenant bomb]
	Match=slice=tenant-bomb.slice
	Kill=last
	KillGraceSec=1s
EOP
docker_run web tenant-web.slice "${WITH_TOOLS[@]}" -- "${TOOL[@]}" "$VICTIM" -s 600 -o $LOADS/web fork
load_ready web
docker_run bomb tenant-bomb.slice "${WITH_TOOLS[@]}" --pids-limit=-1 -- "${TOOL[@]}" "$HOG" -i -s 600 -n 20000 -o $LOADS/bomb fork
load_ready bomb
BOMB=$CG
sysctl --quiet --write kernel.pid_max=2000
measure web 4 "alone"
num $SERVED '>=' 900 "alone its forks work: $SERVED per mille"

guard_start
wait_for 30 '[ "$(ctl containers --json; jq "[.containers[] | select(.name == \"web\" or .name == \"bomb\")] | length" <<<"$CTL_OUT")" = 2 ]' \
	"the guard knows both"
nap 3

# This shell forks no more than it must from here on.
limit() { read -r LIMIT <"$CGROOT/$BOMB/pids.max"; } 2>/dev/null
start=$EPOCHREALTIME
LIMIT=max before=''
limit
before=$LIMIT
mark web
go bomb
# the file goes with the bomb where it is killed
if until_true 60 '! limit || [ "$LIMIT" != "$before" ]'; then
	held=1
	measure web 12 "with guard"
else
	held=0
	rest bomb # so that it can be told
fi
is $held 1 "the bomb is held"
wait_for_act 30 ' throttle bomb harm TasksMax=' "by pids.max" "$start"
num $SERVED '>=' 800 "forks elsewhere work: $SERVED per mille"
check "docker exec works" timeout 60 docker exec web busybox true
diag "$(acts)"
# It may be told to end at any moment that its tasks leave others no room, so also while it comes to rest.
ended() { ! cg_exists "$BOMB" || [ -n "$(acts ' (stop|kill) bomb ')" ]; }
if ! ended; then
	tasks=$(cg "$BOMB" pids.current)
	num "${tasks/gone/0}" '<=' 1600 "it has $tasks tasks, and no more"
	rest bomb
	until_true 90 '[ "$(cg "$BOMB" pids.max)" = "$before" ] || ended' || :
fi
if ended; then
	like "$(acts)" ' throttle bomb .* (stop|kill) bomb ' "there was no room for others: it was held back, then told to end"
	until_true 30 '! cg_exists "$BOMB"' || rest bomb
else
	is "$(cg "$BOMB" pids.max)" "$before" "it rests: the limit is given back, as it was, and nobody was killed"
	# To end its hundreds of tasks takes a CPU for a while, which hurts the other, too, where that is emulated on a busy host.
	wait_for 180 '[ "$(leases)" = 0 ]' "and whatever else was taken"
fi
is "$(acts ' (throttle|freeze|stop|kill) web')" "" "the other is neither held back nor killed"
check "it runs still" cg_exists "${LOAD_CG[web]}"
why_says container:bomb 'To blame: bomb [^;]*(had [0-9]+ tasks|used [0-9.]+ of [0-9]+ CPUs)' "why tells of it"
measure web 4 "afterwards"
num $SERVED '>=' 900 "and forks work as before: $SERVED per mille"

# ---- without the guard

guard_stop
scope again tenant-bomb.slice -p TasksMax=infinity "$HOG" -i -s 600 -n 20000 -o $LOADS/again fork
load_ready again
full() { read -r _ _ _ tasks _ </proc/loadavg && ((${tasks#*/} >= 1700)); }
go again
until_true 90 full || not_ok "there are no tasks left"
measure web 6 "beside the bomb, without guard"
without=$SERVED
rest again
num $without '<' 500 "without the guard forks elsewhere fail: $without per mille"
done_testing
