# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2086
# Docker in the middle of an episode: it removes the culprit and makes another one of the same name, pauses that and lets it go
# on, and is stopped itself while its containers run on. Whoever comes again under a name is known, a pause is never undone
# nor taken for ours, and what the guard holds needs no engine to be given back.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: 40 % of a CPU in requests; CPUGuarantee=60%
#   └── tenant-spin.slice               weight 2000
#       └── docker-<id>.scope           spin, tenant spin: 16 threads
#
# shape: docker
# timeout: 300

frozen() { cg_key "$SPIN" cgroup.events frozen; }
throttled() { [[ $(cg "$SPIN" cpu.max) =~ ^[0-9] ]]; }
free() { [[ $(cg "$SPIN" cpu.max) = max* ]]; }
spin() {  # [OPTION-OF-HOG...]
	rm -f $LOADS/spin
	docker_run spin tenant-spin.slice "${WITH_TOOLS[@]}" -- "${TOOL[@]}" "$HOG" "$@" -n 16 -s 600 -o $LOADS/spin cpu
	load_ready spin
	SPIN=$CG
}
told() {  # what was told of the cgroup that spin is now
	ctl events --json
	jq -r --argjson id "$(stat -c %i "$CGROOT/$SPIN")" '.events[] | select(.judged and .cgroup_id == $id) | .kind' <<<"$CTL_OUT"
}

# Containers run on while the engine is stopped.
mkdir -p /etc/docker
config=$(cat /etc/docker/daemon.json 2>/dev/null || echo '{}')
jq '. + {"live-restore": true}' <<<"$config" >/etc/docker/daemon.json
systemctl reload docker.service
noise_policy </dev/null
systemctl set-property --runtime tenant-spin.slice CPUWeight=2000
scope web tenant-web.slice -p CPUWeight=100 "$VICTIM" -p 40 -s 600 -o $LOADS/web cpu
load_ready web
spin -i
guard_start
nap 3
go spin
wait_for 60 throttled "spin is throttled"

# ---- docker rm, and another one

id=$(stat -c %i "$CGROOT/$SPIN")
docker_rm spin
wait_for 10 '[ "$(leases)" = 0 ]' "removed: no lease is left of it"
spin
isnt "$(stat -c %i "$CGROOT/$SPIN")" "$id" "another one has its name, and goes on where it ended"
wait_for 60 throttled "it is throttled"
# Where it takes a container long to do it again, it is told anew, in the same moment.
ctl events --json
like "$(jq -c --argjson id "$(stat -c %i "$CGROOT/$SPIN")" '[.events[] | select(.judged and .cgroup_id == $id)]
	| [.[0].kind, (map(select(.kind == "throttle"))[0].time - .[0].time) < 1000000]' <<<"$CTL_OUT")" \
	'^\["(throttle|notify)",true\]$' "at once: it is known"
diag "$(told)"

# ---- docker pause

docker pause spin >/dev/null
is "$(frozen)" 1 "docker pauses it"
nap 10
is "$(frozen)" 1 "the pause stays"
docker unpause spin >/dev/null
is "$(frozen)" 0 "docker lets it go on"
wait_for 60 throttled "it is throttled on, or again"
is "$(frozen)" 0 "and not frozen"
is "$(acts ' (freeze|thaw) ')" "" "none of that was ours"

# ---- docker stops

systemctl stop docker.socket docker.service
isnt "$(systemctl is-active docker.service)" active "docker is stopped"
check "the container runs on" cg_exists "$SPIN"
nap 6
check "and is throttled on" throttled
num "$(leases)" '>' 0 "by a lease"
ctl containers --json
is "$(jq -r '.containers[] | select(.cgroup == "/'$SPIN'") | .tenant' <<<"$CTL_OUT")" spin "it is still its tenant's"
rest spin
wait_for 90 '[ "$(leases)" = 0 ]' "the noise stops: all is given back without docker"
check "and no limit is left" free
diag "$(acts)"
is "$(acts ' (stop|kill) ')" "" "in all this nobody is killed"
done_testing
