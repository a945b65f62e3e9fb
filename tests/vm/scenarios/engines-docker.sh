# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# Docker with the systemd driver: every container is found, by whatever it was started, named from
# Docker's state files, given to its tenant and held; a name that comes again is a new container.
#
#   tenant.slice
#   ├── tenant-warm.slice          tenant warm, by slice
#   │   └── docker-<id>.scope      warm: older than the guard; 64 MB, 50 pids, half a CPU
#   └── tenant-a.slice             tenant a, by slice
#       └── docker-<id>.scope      new: labels, health check, stop signal, --memory 32m
#   system.slice                   where stock Docker puts what names no --cgroup-parent; Protect= as built in
#   ├── docker-<id>.scope          shop: tenant shop, by label
#   ├── docker-<id>.scope          job-1: tenant job, by name; made again under the same name
#   └── docker-<id>.scope          a step of `docker build`: unassigned
#
# shape: docker
# timeout: 180

about() {  # CONTAINER FILTER: prints what `containers` says of it; nothing when it is not listed
	ctl containers --json
	jq -r --arg name "$1" ".containers[] | select(.name == \$name or .id == \$name) | $2" <<<"$CTL_OUT"
}

cgroup_id() { stat --format=%i "$CGROOT/$1"; }

policy_set <<EOP
[Host]
Mode=ceilings

[Defaults]
ContainerTasksMax=77

[Tenant warm]
Match=slice=tenant-warm.slice
ContainerMemoryMax=48M

[Tenant a]
Match=slice=tenant-a.slice
ContainerTasksMax=33

[Tenant shop]
Match=label=com.example.tenant=shop
ContainerTasksMax=44

[Tenant job]
Match=name=job-*
ContainerTasksMax=55
EOP

# ---- older than the guard

warm=$(echo "$CGROOT"/tenant.slice/tenant-warm.slice/docker-*.scope)
warm=${warm#"$CGROOT/"}
warm_id=${warm##*/docker-}
warm_id=${warm_id%.scope}
guard_start
wait_for 30 "[ \"\$(cg $warm memory.max)\" = $((48 << 20)) ]" "warm, older than the guard, is held: 64 MB became 48"
is "$(cg "$warm" pids.max)" 50 "what Docker asked for stays where it is tighter (50 of 77 tasks)"
is "$(about warm '[.engine, .id, .image, .tenant, .tenant_by.class, .cgroup, .cgroup_id] | join(" ")')" \
	"docker $warm_id bb warm slice /$warm $(cgroup_id "$warm")" "warm: engine, id, image, tenant, cgroup and its id"
is "$(about warm '.labels["com.example.tenant"]')" warm "warm: its label"
is "$(about warm '[.requested[] | {(.limit): .value}] | add |
	"\(.MemoryMax) \(.MemorySwapMax) \(.TasksMax) \(.CPUQuota)"')" \
	"$((64 << 20)) $((64 << 20)) 50 500000" "warm: what was requested"

# ---- started later

docker_run new tenant-a.slice --memory 32m --label com.example.a=1 --label 'com.example.b=two words' \
	--stop-signal USR1 --health-cmd 'true --deep' --health-interval 1h
new=$CG new_id=$CID
wait_for 30 "[ \"\$(cg $new pids.max)\" = 33 ]" "new, started later, is held at 33 tasks"
wait_for 30 "[ \"\$(systemctl show --value -p TasksMax docker-$new_id.scope)\" = 33 ]" "systemd has been told"
is "$(cg "$new" memory.max)" $((32 << 20)) "its memory limit is Docker's own still"
is "$(about new '[.engine, .id, .image, .tenant, .tenant_by.class, .cgroup_id, .pending] | join(" ")')" \
	"docker $new_id bb a slice $(cgroup_id "$new") false" "new: engine, id, image, tenant, cgroup id"
is "$(about new '.labels | "\(length) \(.["com.example.a"]) \(.["com.example.b"])"')" "2 1 two words" "new: its labels"
is "$(about new '[.health_check, .stop_signal, .labels_in_files] | join(", ")')" "true --deep, SIGUSR1, true" \
	"new: health check, stop signal"

# ---- no --cgroup-parent, Protect= as built in

docker_run shop '' --label com.example.tenant=shop
like "$CG" '^system\.slice/docker-' "stock Docker puts its containers into system.slice"
wait_for 30 "[ \"\$(cg $CG pids.max)\" = 44 ]" "there a container is held all the same"
is "$(about shop '[.tenant, .tenant_by.class, .protected] | join(" ")')" "shop label " "its tenant by label; not protected"
is "$(cg system.slice pids.max)" max "system.slice itself has got nothing"

docker_run job-1 ''
first=$CG first_id=$(cgroup_id "$CG")
wait_for 30 "[ \"\$(cg $CG pids.max)\" = 55 ]" "job-1 is held as tenant job's"
is "$(about job-1 '[.tenant, .tenant_by.class] | join(" ")')" "job name" "by its name"

# ---- removed, and made again

ctl hold job-1 --for 10m
is "$(about job-1 '.hold != null')" true "job-1 is on hold"
docker_rm job-1
check "a removed container leaves no cgroup" test ! -d "$CGROOT/$first"
wait_for 10 '[ -z "$(about job-1 .id)" ]' "it is not listed any more"
ctl events --json
is "$(jq --argjson id "$first_id" '[.events[] | select(.kind == "gone" and .cgroup_id == $id)] | length' <<<"$CTL_OUT")" 1 \
	"one event says that it is gone"
docker_run job-1 ''
wait_for 30 '[ "$(about job-1 "[.cgroup_id, .id] | map(tostring) | join(\" \")")" = "$(cgroup_id "$CG") $CID" ]' \
	"job-1 is made again: id and cgroup are the new one's"
isnt "$(about job-1 .cgroup_id)" "$first_id" "it is another cgroup"
wait_for 10 '[ "$(about job-1 ".hold != null")" = true ]' "the hold is on whoever has its name"
ctl unhold job-1
is "$CTL_STATUS $(about job-1 .hold)" "0 null" "until it is ended"
wait_for 30 "[ \"\$(cg $CG pids.max)\" = 55 ]" "then it is held to its ceiling again"

# ---- an image build

mkdir /run/build
printf 'FROM bb\nRUN sleep 1000\n' >/run/build/Dockerfile
DOCKER_BUILDKIT=0 docker build --network=none /run/build >/run/build.log 2>&1 &
build=$!
known=" $(about shop .cgroup) $(about job-1 .cgroup) "
step=''
find_step() {
	local scope
	for scope in "$CGROOT"/system.slice/docker-*.scope; do
		[[ $known = *" ${scope#"$CGROOT"} "* ]] || step=${scope#"$CGROOT/"}
	done
	[ -n "$step" ]
}
until_true 60 find_step || diag "$(</run/build.log)"
wait_for 30 '[ "$(cg "$step" pids.max)" = 77 ]' "a step of docker build is held meanwhile"
is "$(about "$(basename "$step" .scope | sed s/docker-//)" '[.engine, .tenant] | join(" ")')" "docker unassigned" \
	"it is listed, nobody's"
kill $build
cg_kill "$step"
done_testing
