# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# Docker with the cgroupfs driver makes its cgroups itself, beside systemd: no unit owns them. They
# are found below Docker's default parent and below parents of one's own, and held in the kernel's files.
#
#   tenant-warm                tenant warm, by path
#   └── <id>                   warm: older than the guard; 64 MB, 50 pids, half a CPU
#   tenant-acme                tenant acme, by path
#   └── <id>                   db
#   docker                     the default parent
#   └── <id>                   shop: tenant shop, by label; made again under the same name
#
# shape: docker-cgroupfs
# timeout: 180

about() {  # CONTAINER FILTER: prints what `containers` says of it; nothing when it is not listed
	ctl containers --json
	jq -r --arg name "$1" ".containers[] | select(.name == \$name or .id == \$name) | $2" <<<"$CTL_OUT"
}

cgroup_id() { stat --format=%i "$CGROOT/$1"; }

policy_set <<EOP
[Host]
Mode=ceilings

[Tenant warm]
Match=path=/tenant-warm
ContainerMemoryMax=48M
ContainerTasksMax=77

[Tenant acme]
Match=path=/tenant-acme
ContainerTasksMax=33
ContainerCPUQuota=40%

[Tenant shop]
Match=label=com.example.tenant=shop
ContainerTasksMax=44
EOP

warm=$(echo "$CGROOT"/tenant-warm/????????????????????????????????????????????????????????????????)
warm=${warm#"$CGROOT/"}
guard_start
wait_for 30 "[ \"\$(cg $warm memory.max)\" = $((48 << 20)) ]" "warm, older than the guard, is held: 64 MB became 48"
is "$(cg "$warm" pids.max)" 50 "what Docker asked for stays where it is tighter (50 of 77 tasks)"
is "$(cg "$warm" cpu.max)" "50000 100000" "what policy does not name stays Docker's"
is "$(about warm '[.engine, .id, .image, .tenant, .tenant_by.class, .cgroup, .cgroup_id, .unit] | map(tostring) | join(" ")')" \
	"docker ${warm#*/} bb warm path /$warm $(cgroup_id "$warm") null" \
	"warm: engine, id, image, tenant, cgroup and its id; no unit owns it"
is "$(about warm '[.requested[] | {(.limit): .value}] | add | "\(.MemoryMax) \(.TasksMax) \(.CPUQuota)"')" \
	"$((64 << 20)) 50 500000" "warm: what was requested"

docker_run db /tenant-acme --memory 32m
db=$CG
like "$db" '^tenant-acme/[0-9a-f]{64}$' "a parent of one's own"
wait_for 30 "[ \"\$(cg $db pids.max)\" = 33 ]" "db, started later, is held at 33 tasks"
wait_for 30 "[ \"\$(cg $db cpu.max)\" = '40000 100000' ]" "and at 40 % of a CPU"
is "$(about db '[.engine, .image, .tenant, .tenant_by.class, .cgroup_id] | join(" ")')" \
	"docker bb acme path $(cgroup_id "$db")" "db: engine, image, tenant, cgroup id"
is "$(cg "$db" memory.max)" $((32 << 20)) "its memory limit is Docker's own still"

docker_run shop '' --label com.example.tenant=shop
first=$CG first_id=$(cgroup_id "$CG")
like "$first" '^docker/[0-9a-f]{64}$' "Docker's default parent"
wait_for 30 "[ \"\$(cg $first pids.max)\" = 44 ]" "shop is held there at 44 tasks"
is "$(about shop '[.tenant, .tenant_by.class] | join(" ")')" "shop label" "by its label"
is "$(cg docker pids.max) $(cg tenant-acme pids.max) $(cg tenant-acme cpu.max)" "max max max 100000" \
	"the parents, which are no containers, have got nothing"

docker_rm shop
wait_for 10 '[ -z "$(about shop .id)" ]' "removed, it is not listed any more"
docker_run shop '' --label com.example.tenant=shop
wait_for 30 "[ \"\$(cg $CG pids.max)\" = 44 ]" "made again under the same name, it is held again"
isnt "$(cgroup_id "$CG")" "$first_id" "it is another cgroup"
is "$(about shop '[.id, .cgroup_id] | join(" ")')" "$CID $(cgroup_id "$CG")" "that is the one listed"
done_testing
