# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# podman: root's containers are named from its files (which keep no labels) and held; a rootless user's
# are listed, held at his user-UID.slice, and nothing is written below his user manager.
#
#   tenant.slice
#   ├── tenant-warm.slice                       tenant warm, by slice
#   │   └── libpod-<id>.scope                   warm: older than the guard; 64 MB, 50 pids, half a CPU
#   └── tenant-a.slice                          tenant a, by slice
#       └── libpod-<id>.scope                   new: --memory 32m
#   machine.slice                               podman's default parent
#   └── libpod-<id>.scope                       job-1: tenant job, by name; made again under the same name
#   user.slice
#   └── user-1000.slice                         tenant user1000, by user; 600 MB, 300 tasks
#       └── user@1000.service/user.slice        delegated: only read
#           ├── libpod-<id>.scope/container     warm, of user tenant; 32 MB, 30 pids
#           └── libpod-<id>.scope/container     own, of user tenant, started later
#
# shape: podman
# timeout: 180

about() {  # CONTAINER-ID FILTER: prints what `containers` says of it; nothing when it is not listed
	ctl containers --json
	jq -r --arg name "$1" ".containers[] | select(.name == \$name or .id == \$name) | $2" <<<"$CTL_OUT"
}

cgroup_id() { stat --format=%i "$CGROOT/$1"; }

below_manager() {  # prints every limit file below the user manager with its content
	(cd "$CGROOT/user.slice/user-1000.slice" && grep -rs '' user@1000.service --include=memory.{min,low,high,max} \
		--include=memory.swap.max --include=cpu.{max,max.burst,weight} --include=io.{max,weight,latency} --include=pids.max | sort)
}

policy_set <<EOP
[Host]
Mode=ceilings

[Tenant warm]
Match=slice=tenant-warm.slice
ContainerMemoryMax=48M
ContainerTasksMax=77

[Tenant a]
Match=slice=tenant-a.slice
ContainerTasksMax=33

[Tenant job]
Match=name=job-*
Match=label=com.example.tenant=job
ContainerTasksMax=55

[Tenant user1000]
Match=user=1000
MemoryMax=600M
TasksMax=300
ContainerTasksMax=7
ContainerMemoryMax=16M
EOP

# ---- older than the guard

warm=$(echo "$CGROOT"/tenant.slice/tenant-warm.slice/libpod-[0-9a-f]*.scope)
warm=${warm#"$CGROOT/"}
warm_id=${warm##*/libpod-}
warm_id=${warm_id%.scope}
user_slice=user.slice/user-1000.slice
theirs=$(echo "$CGROOT/$user_slice"/user@1000.service/user.slice/libpod-[0-9a-f]*.scope)
theirs=${theirs#"$CGROOT/"}
their_id=${theirs##*/libpod-}
their_id=${their_id%.scope}
before=$(below_manager)
guard_start
wait_for 30 "[ \"\$(cg $warm memory.max)\" = $((48 << 20)) ]" "warm, older than the guard, is held: 64 MB became 48"
is "$(cg "$warm" pids.max)" 50 "what podman asked for stays where it is tighter (50 of 77 tasks)"
is "$(about "$warm_id" '[.engine, .name, .image, .tenant, .tenant_by.class, .cgroup, .cgroup_id] | join(" ")')" \
	"podman warm localhost/bb:latest warm slice /$warm $(cgroup_id "$warm")" \
	"warm: engine, name, image, tenant, cgroup and its id"
is "$(about "$warm_id" '[.requested[] | {(.limit): .value}] | add | "\(.MemoryMax) \(.TasksMax) \(.CPUQuota)"')" \
	"$((64 << 20)) 50 500000" "warm: what was requested"

wait_for 30 "[ \"\$(cg $user_slice memory.max)\" = $((600 << 20)) ]" "the user's tenant is held at user-1000.slice: 600 MB"
is "$(cg $user_slice pids.max)" 300 "and 300 tasks"
is "$(about "$their_id" '[.engine, .name, .tenant, .tenant_by.class, .rootless, .held_at, .cgroup] | map(tostring) | join(" ")')" \
	"podman warm user1000 user true /$user_slice /$theirs" "his container is listed, rootless, held at his slice"
is "$(about "$their_id" '[.limits[].state] | length')" 0 "no limit of ours is claimed for it"

# ---- started later

podman_run new tenant-a.slice --memory 32m --label com.example.a=1
new=$CG new_id=$CID
wait_for 30 "[ \"\$(cg $new pids.max)\" = 33 ]" "new, started later, is held at 33 tasks"
wait_for 30 "[ \"\$(systemctl show --value -p TasksMax libpod-$new_id.scope)\" = 33 ]" "systemd has been told"
is "$(cg "$new" memory.max)" $((32 << 20)) "its memory limit is podman's own still"
is "$(about "$new_id" '[.name, .image, .tenant, .cgroup_id] | join(" ")')" \
	"new localhost/bb:latest a $(cgroup_id "$new")" "new: name, image, tenant, cgroup id"
is "$(about "$new_id" '[.labels, .labels_in_files] | tostring')" '[{},false]' \
	"podman keeps labels in its database only: said to be unknown"

podman_run job-1 '' --label com.example.tenant=elsewhere
like "$CG" '^machine\.slice/libpod-' "podman's default parent"
wait_for 30 "[ \"\$(cg $CG pids.max)\" = 55 ]" "job-1 is held there"
is "$(about "$CID" '[.tenant, .tenant_by.class] | join(" ")')" "job name" "by its name"
podman rm --force --time 0 job-1 >/dev/null
wait_for 10 "[ -z \"\$(about $CID .id)\" ]" "removed, it is not listed any more"
first_id=$CID
podman_run job-1 ''
wait_for 30 "[ \"\$(cg $CG pids.max)\" = 55 ]" "made again under the same name, it is held again"
is "$(about job-1 '[.id, .cgroup_id] | join(" ")')" "$CID $(cgroup_id "$CG")" "the one listed is the new one"
isnt "$CID" "$first_id" "which is another"

own_id=$(rootless podman run --detach --name own --network=none bb sleep 100000)
own=$user_slice/user@1000.service/user.slice/libpod-$own_id.scope
wait_for 30 "[ \"\$(about $own_id .name)\" = own ]" "a rootless container that starts later is found, too"
is "$(about "$own_id" '[.tenant, .rootless, .held_at, .cgroup] | map(tostring) | join(" ")')" \
	"user1000 true /$user_slice /$own" "the same user's, held at his slice"
ctl containers --json
is "$(jq '[.containers[] | select(.rootless)] | length' <<<"$CTL_OUT")" 2 "the outermost cgroup is the unit: two are listed, not four"
rootless podman rm --force --time 0 own >/dev/null
wait_for 20 "[ -z \"\$(about $own_id .id)\" ]" "removed, it is not listed any more"
is "$(below_manager)" "$before" "nothing was written below user@1000.service: all limit files are as before"
done_testing
