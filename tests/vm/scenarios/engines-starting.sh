# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# An engine writes a container's limits straight into the kernel's files some milliseconds after
# systemd has made the scope: just when the guard tells systemd of a ceiling of its own, and systemd
# writes every limit of the unit anew. Whoever comes first: the engine's limits stand in the end.
#
#   tenant.slice
#   └── tenant-a.slice               tenant a, by slice; policy names nothing but TasksMax
#       └── docker-<id>.scope x 30   32 MB by a raw write, 0, 10, 20 ... 290 ms after the scope
#
# shape: plain
# timeout: 180

STATE=/var/lib/docker/containers
N=30

policy_set <<EOP
[Host]
Mode=ceilings

[Tenant a]
Match=slice=tenant-a.slice
ContainerTasksMax=33
EOP

guard_start
ids=()
for ((i = 0; i < N; i++)); do
	printf -v id '%064x' $((0xace00000000 + i))
	ids+=("$id")
	mkdir -p "$STATE/$id"
	echo "{\"Name\":\"/c$i\",\"Config\":{\"Image\":\"x\"}}" >"$STATE/$id/config.v2.json"
	echo '{"Memory":33554432}' >"$STATE/$id/hostconfig.json"
done
for ((i = 0; i < N; i++)); do
	scope "docker-${ids[i]}" tenant-a.slice sleep 100000
	printf -v delay '0.%03d' $((i * 10))
	nap "$delay"
	echo 32M >"$CGROOT/$CG/memory.max"
done

told() {  # every scope's property says what policy says
	local value
	while read -r value; do
		[ -z "$value" ] || [ "$value" = 33 ] || return 1
	done < <(systemctl show --value -p TasksMax "${ids[@]/%/.scope}")
}
ids=("${ids[@]/#/docker-}")
wait_for 60 told "systemd has been told of TasksMax for all $N scopes"
lost=0 held=0
for id in "${ids[@]}"; do
	cg_read memory "tenant.slice/tenant-a.slice/$id.scope" memory.max
	cg_read tasks "tenant.slice/tenant-a.slice/$id.scope" pids.max
	[ "$memory" = $((32 << 20)) ] || lost=$((lost + 1))
	[ "$tasks" != 33 ] || held=$((held + 1))
done
is "$held" $N "each is held at 33 tasks"
is "$lost" 0 "none has lost the 32 MB that its engine gave it"
done_testing
