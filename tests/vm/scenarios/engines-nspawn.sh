# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# systemd-nspawn: machines started by hand (a scope) and by the template unit (a service) are found,
# named by their cgroup and held; one that comes again has the same path and is another cgroup. What
# systemd-machined calls a virtual machine is no container, whatever it is named.
#
#   tenant.slice
#   └── tenant-warm.slice                 tenant warm, by slice
#       └── machine-m1.scope/payload      m1: older than the guard
#   machine.slice
#   ├── machine-m2.scope/payload          m2: older than the guard; unassigned
#   ├── machine-box\x2d3.scope/payload    box-3: started later, tenant boxes, by name
#   ├── systemd-nspawn@box.service        box: started later by the template unit, tenant boxes, by name
#   │   └── payload, supervisor
#   └── machine-box\x2dvm.scope           box-vm: registered with class vm; never listed nor written
#
# shape: nspawn
# timeout: 120

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
ContainerTasksMax=33

[Tenant boxes]
Match=name=box*
ContainerTasksMax=55
EOP

# ---- older than the guard

m1=tenant.slice/tenant-warm.slice/machine-m1.scope
m2=machine.slice/machine-m2.scope
guard_start
wait_for 30 "[ \"\$(cg $m1 memory.max) \$(cg $m1 pids.max)\" = '$((48 << 20)) 33' ]" "m1, older than the guard, is held"
wait_for 30 "[ \"\$(cg $m2 pids.max)\" = 77 ]" "so is m2, in machine.slice and nobody's"
is "$(about m1 '[.engine, .id, .image, .tenant, .tenant_by.class, .cgroup, .cgroup_id] | join(" ")')" \
	"nspawn m1 /srv/m1 warm slice /$m1 $(cgroup_id $m1)" "m1: engine, id, image, tenant, cgroup and its id"
is "$(about m2 '[.engine, .tenant, .cgroup] | join(" ")')" "nspawn unassigned /$m2" "m2: nobody's"
is "$(cg $m1/payload pids.max)" max "nothing is written inside a machine"

# ---- the template unit

mkdir -p /var/lib/machines/box /etc/systemd/nspawn
tar -C /var/lib/machines/box -xf /srv/bb.tar
cat >/etc/systemd/nspawn/box.nspawn <<EOF_NSPAWN
[Exec]
Boot=no
Parameters=/bin/sleep 100000
PrivateUsers=no
ResolvConf=off
Timezone=off
LinkJournal=no
[Network]
Private=yes
VirtualEthernet=no
EOF_NSPAWN
box=machine.slice/systemd-nspawn@box.service
check "systemd-nspawn@box.service starts" systemctl start systemd-nspawn@box.service
wait_for 30 "[ \"\$(cg $box pids.max)\" = 55 ]" "box, started later as a service, is held"
first_id=$(cgroup_id $box)
is "$(about box '[.engine, .id, .tenant, .tenant_by.class, .cgroup, .cgroup_id] | join(" ")')" \
	"nspawn box boxes name /$box $first_id" "box: engine, id, tenant by name, cgroup and its id"
ctl hold box --for 10m
is "$(about box '.hold != null')" true "box is on hold"
systemctl kill --signal=KILL systemd-nspawn@box.service
wait_for 20 "! cg_exists $box" "it ends"
wait_for 10 '[ -z "$(about box .id)" ]' "and is not listed any more"
check "it starts again" systemctl start systemd-nspawn@box.service
wait_for 30 '[ "$(about box .cgroup_id)" = "$(cgroup_id $box)" ]' "the guard has found it"
isnt "$(cgroup_id $box)" "$first_id" "it is another cgroup"
wait_for 10 '[ "$(about box ".hold != null")" = true ]' "the hold is on whoever has its name"
ctl unhold box
is "$CTL_STATUS $(about box .hold)" "0 null" "until it is ended"
wait_for 30 "[ \"\$(cg $box pids.max)\" = 55 ]" "then policy holds it again"

# ---- registered as a virtual machine

vm='machine.slice/machine-box\x2dvm.scope'
sleep 100000 &
busctl --quiet call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager CreateMachine \
	'sayssusa(sv)' box-vm 0 vmm vm $! /srv 0
check "machined makes a scope for a virtual machine" test -d "$CGROOT/$vm"
pids=$(cg "$vm" pids.max)

# ---- a scope with a name that systemd escapes

mkdir /srv/box-3
tar -C /srv/box-3 -xf /srv/bb.tar
systemd-nspawn --quiet --directory=/srv/box-3 --machine=box-3 --private-network --resolv-conf=off --timezone=off \
	--link-journal=no /bin/sleep 100000 </dev/null >/run/box-3.log 2>&1 &
box3='machine.slice/machine-box\x2d3.scope'
wait_for 30 '[ "$(cg "$box3" pids.max)" = 55 ]' "box-3, started later by hand, is held"
is "$(about box-3 '[.name, .tenant, .cgroup_id] | join(" ")')" "box-3 boxes $(cgroup_id "$box3")" "its name is read from the scope's"
machinectl terminate box-3
wait_for 20 '[ -z "$(about box-3 .id)" ]' "it ends and is not listed any more"

# box-3 is younger than the virtual machine, has been held and is gone: the guard has had its time
is "$(about box-vm .id)" "" "the virtual machine is not listed"
is "$(cg "$vm" pids.max)" "$pids" "nor held, though its name would be tenant boxes'"
done_testing
