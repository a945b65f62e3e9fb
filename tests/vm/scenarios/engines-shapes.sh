# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# What looks like a container is judged by its place in the tree: trees of Kubernetes, LXC, virtual
# machines, containers in containers, plain units, and a user's forgery of somebody else's container.
#
#   kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podX.slice
#   └── cri-containerd-<k>.scope          listed, never written, nor any slice above it
#   kubepods/burstable/podY/<y>           the same for the cgroupfs driver
#   lxc.payload.box1                      LXC 4 and later      } tenant boxes, by name
#   lxc/100                               older LXC            }
#   lxc.monitor.box1                      LXC's own, no container
#   tenant.slice
#   ├── tenant-a.slice                    tenant a, by slice; and by label com.example.tenant=a
#   │   ├── docker-<a>.scope              the outermost container is the unit
#   │   │   ├── docker/<n>                nested: detail
#   │   │   └── docker-<n>.scope          nested: detail
#   │   ├── libpod-conmon-<a>.scope       podman's own, no container
#   │   ├── app.service, job.scope        plain units are held as containers are
#   └── tenant-b.slice                    tenant b, by slice
#       └── del.service                   runs as uid 1000, Delegate=yes
#           └── docker-<v>.scope          nested: detail
#   system.slice/docker-<v>.scope         the victim: tenant a, by label
#   machine.slice                         tenant vm, by slice
#   └── machine-qemu\x2d1\x2dvm.scope     neither listed nor written
#   user.slice/user-1000.slice/user@1000.service                      tenant user1000, by user
#   ├── app.slice/docker-<v>.scope                                    } forged, with state files in his home
#   └── tenant.slice/tenant-a.slice/docker-<v>.scope                  } that claim tenant a's name and label
#
# shape: plain
# timeout: 120

about() {  # CGROUP FILTER: prints what the last `ctl containers --json` said of it; "unlisted" when it did not
	jq -r --arg path "/$1" "[.containers[] | select(.cgroup == \$path)] | if length == 0 then \"unlisted\" else .[] | $2 end" \
		<<<"$CTL_OUT"
}

limits_below() {  # PATH...: every limit file of these trees with its content
	local path
	for path; do
		grep -rs '' "$CGROOT/$path" --include=memory.{min,low,high,max} --include=memory.swap.max \
			--include=cpu.{max,max.burst,weight} --include=io.{max,weight,latency} --include=pids.max
	done | sort
}

make_tree() {  # PATH: every directory of it, with the pids and memory controllers
	local part path=''
	local -a parts
	IFS=/ read -ra parts <<<"$1"
	for part in "${parts[@]}"; do
		[ -z "$path" ] || echo "+pids +memory" >"$CGROOT/$path/cgroup.subtree_control"
		path+=${path:+/}$part
		[ -d "$CGROOT/$path" ] || mkdir "$CGROOT/$path"
	done
}

hex() { printf "$1%.0s" {1..64}; }  # DIGIT: an id of 64 digits

k=$(hex 1) y=$(hex 2) a=$(hex a) n=$(hex b) v=$(hex c)

policy_set <<EOP
[Host]
Mode=ceilings

[Defaults]
ContainerTasksMax=77

[Tenant a]
Match=slice=tenant-a.slice
Match=label=com.example.tenant=a
ContainerTasksMax=33
ContainerMemoryMax=48M

[Tenant b]
Match=slice=tenant-b.slice
ContainerTasksMax=22

[Tenant kube]
Match=slice=kubepods*.slice
Match=path=/kubepods
TasksMax=500
MemoryMax=600M
ContainerTasksMax=11

[Tenant boxes]
Match=name=box*
Match=name=100
ContainerTasksMax=44

[Tenant vm]
Match=slice=machine.slice
ContainerTasksMax=12

[Tenant user1000]
Match=user=1000
TasksMax=900
ContainerTasksMax=5
EOP

# ---- half of them before the guard, half after

docker_state() {  # DIRECTORY ID
	mkdir -p "$1/containers/$2"
	printf '{"ID":"%s","Name":"/a-db","Config":{"Image":"db:1","Labels":{"com.example.tenant":"a"}},"State":{"Pid":1}}' \
		"$2" >"$1/containers/$2/config.v2.json"
	echo '{"Memory":0,"PidsLimit":null}' >"$1/containers/$2/hostconfig.json"
}
docker_state /var/lib/docker "$v"
docker_state /home/tenant/.local/share/docker "$v"
chown -R tenant: /home/tenant/.local
check "a user manager for uid 1000" systemctl start user@1000.service
manager=user.slice/user-1000.slice/user@1000.service

pod_slice=$(slice_path kubepods-burstable-podX.slice)
scope "cri-containerd-$k" kubepods-burstable-podX.slice sleep 100000
kube1=$CG
scope job tenant-a.slice sleep 100000
job=$CG
make_tree lxc/100
systemd-run --quiet --scope --collect --unit="docker-$a" --slice=tenant-a.slice -p Delegate=yes sleep 100000 &
outer=$(slice_path tenant-a.slice)/docker-$a.scope
until_true 20 "cg_exists $outer"
mkdir -p "$CGROOT/$outer/docker/$n"
kube_before=$(limits_below kubepods.slice)

guard_start
wait_for 30 "[ \"\$(cg $outer pids.max) \$(cg $outer memory.max)\" = '33 $((48 << 20))' ]" "a docker-shaped scope is held"
wait_for 30 "[ \"\$(cg $job pids.max)\" = 33 ]" "so is a plain scope in a tenant's slice"
wait_for 30 "[ \"\$(cg lxc/100 pids.max)\" = 44 ]" "so is lxc/100"

make_tree "kubepods/burstable/podY/$y"
kube2=kubepods/burstable/podY/$y
kube_before+=$'\n'$(limits_below kubepods)
make_tree lxc.monitor.box1
make_tree lxc.payload.box1
mkdir "$CGROOT/$outer/docker-$n.scope"
scope "libpod-conmon-$a" tenant-a.slice sleep 100000
conmon=$CG
scope 'machine-qemu\x2d1\x2dvm' machine.slice sleep 100000
vm=$CG
vm_before=$(limits_below "$vm")
service app tenant-a.slice sleep 100000
app=$CG
service del tenant-b.slice -p User=tenant -p Delegate=yes \
	sh -c "mkdir /sys/fs/cgroup/tenant.slice/tenant-b.slice/del.service/docker-$v.scope; exec sleep 100000"
del=$CG
scope "docker-$v" system.slice sleep 100000
victim=$CG

# ---- the forgery: as the user himself, through his manager and by mkdir

rootless systemd-run --user --quiet --scope --unit="docker-$v" sleep 100000 &
rootless sh -c "cd $CGROOT/$manager && mkdir -p tenant.slice/tenant-a.slice && for dir in . tenant.slice tenant.slice/tenant-a.slice
	do echo '+pids +memory' >\$dir/cgroup.subtree_control || exit; done; mkdir tenant.slice/tenant-a.slice/docker-$v.scope"
forged2=$manager/tenant.slice/tenant-a.slice/docker-$v.scope
forged1=$manager/app.slice/docker-$v.scope
wait_for 30 "cg_exists $forged1" "the user makes a scope with the id of tenant a's container"
forged_pids=$(rootless systemctl --user show --value -p TasksMax "docker-$v.scope")

wait_for 30 "[ \"\$(cg lxc.payload.box1 pids.max)\" = 44 ]" "lxc.payload.box1, which came later, is held"
wait_for 30 "[ \"\$(cg $app pids.max)\" = 33 ]" "so is a plain service in a tenant's slice"
wait_for 30 "[ \"\$(cg $victim pids.max) \$(cg $victim memory.max)\" = '33 $((48 << 20))' ]" "so is the victim, by its label"
wait_for 30 "[ \"\$(cg $del pids.max)\" = 22 ]" "so is the delegated service"
listed() {
	ctl containers --json
	[[ $(about "$forged1" '"\(.name) \(.pending)"') = *false && $(about "$forged2" '"\(.name) \(.pending)"') = *false ]]
}
wait_for 30 listed "the forgeries are listed, and what is known of them is known"

# ---- what is said of them

what='[.engine, .tenant, .tenant_by.class, .kube] | map(tostring) | join(" ")'
is "$(about "$kube1" "$what")" "containerd kube slice true" "a pod's container: reported, as Kubernetes'"
is "$(about "$kube2" "$what")" "containerd kube path true" "the same made by the cgroupfs driver"
is "$(about "$kube1" '.limits | length')" 0 "no limit is claimed for it"
is "$(about "$outer" "$what")" "docker a slice false" "the outermost container is the unit"
is "$(about "$outer/docker/$n" .id) $(about "$outer/docker-$n.scope" .id) $(about "$del/docker-$v.scope" .id)" \
	"unlisted unlisted unlisted" "what nests inside containers and delegated services is detail"
is "$(about "$job" "$what"), $(about "$app" "$what")" "unit a slice false, unit a slice false" "plain units of a slice"
is "$(about lxc.payload.box1 "$what"), $(about lxc/100 "$what")" "lxc boxes name false, lxc boxes name false" "LXC, both shapes"
is "$(about "$conmon" .id) $(about lxc.monitor.box1 .id)" "unlisted unlisted" "engines' own processes are no containers"
is "$(about "$vm" .id)" unlisted "a virtual machine is none either"
is "$(about "$victim" '[.name, .tenant, .tenant_by.class, .rootless] | map(tostring) | join(" ")')" "a-db a label false" \
	"the victim: tenant a, by label"
for forged in "$forged1" "$forged2"; do
	is "$(about "$forged" '[.tenant, .tenant_by.class, .rootless, .held_at, .contradiction] | map(tostring) | join(" ")')" \
		"user1000 user true /user.slice/user-1000.slice null" "forged: the user's own, held at his slice (${forged#"$manager"/})"
	is "$(about "$forged" '.limits | length') $(cg "$forged" memory.max)" "0 max" "it has got nothing of tenant a's"
done
is "$(cg "$forged1" pids.max) $(cg "$forged2" pids.max)" "$forged_pids max" "nor of its own tenant's: nothing is written there"
ctl tenants --json
is "$(jq -c '[.tenants[] | select(.name == "a") | .containers]' <<<"$CTL_OUT")" "[4]" \
	"tenant a has four containers: the scope, the two units, the victim"

# ---- nothing was written where nothing may be

is "$(cg user.slice/user-1000.slice pids.max)" 900 "the user is held at his slice"
is "$(limits_below kubepods.slice)"$'\n'"$(limits_below kubepods)" "$kube_before" \
	"in both Kubernetes trees all limit files are as before"
like "$kube_before" "$pod_slice/cri-containerd-$k.scope/pids.max:" "(their limit files were looked at)"
is "$(limits_below "$vm")" "$vm_before" "those of the virtual machine too"
is "$(cg "$conmon" pids.max)" "$(cg "$vm" pids.max)" "conmon is not held"
is "$(cg lxc.monitor.box1 pids.max)" max "nor is LXC's monitor"
done_testing
