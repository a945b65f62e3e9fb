# shellcheck shell=bash disable=SC2154
# The bed itself: what every other scenario takes for granted is there.
#
#   /                      pure cgroup v2, all controllers
#   ├── system.slice/vmjob.service    this script
#   └── tenant.slice
#       └── tenant-a.slice
#           ├── one.scope             a scope of ours
#           └── two.service           TasksMax=20
#
# shape: plain
# timeout: 60   kernels: 6.1 6.12

read -r _ _ version _ </proc/version
diag "kernel $version, $(systemctl --version | head -n 1)"
like "$version" '^6\.(1|12)\.' "the kernel is one of the two that we promise"
like "$(systemctl --version)" '^systemd 252 ' "systemd is Debian 12's"
like "$(systemctl is-system-running || :)" 'running|starting|degraded' "systemd runs as PID 1"

controllers=$(cg / cgroup.controllers)
for controller in cpuset cpu io memory pids; do
	like " $controllers " " $controller " "controller $controller"
done
for resource in cpu io memory; do
	like "$(</proc/pressure/$resource)" 'some avg10=.* total=' "PSI of the host: $resource"
done
check "BTF of the kernel is there" test -s /sys/kernel/btf/vmlinux

scope one tenant-a.slice sleep 1000
is "$CG" tenant.slice/tenant-a.slice/one.scope "a scope lands below its slice"
like "$(cg "$CG" memory.pressure)" 'some avg10=' "PSI of a cgroup"
is "$(cg_key "$CG" cgroup.events populated)" 1 "one.scope is populated"

service two tenant-a.slice -p TasksMax=20 sleep 1000
is "$(cg "$CG" pids.max)" 20 "a property becomes a kernel limit"
cg_kill "$CG"
wait_for 20 "! cg_exists $CG" "a killed service leaves no cgroup"
is "$(cg "$CG" pids.max)" gone "reading a cgroup that is gone says so"

if have_bailiff; then
	check "the staged bailiffd starts" bailiffd --version
else
	skip "the staged bailiffd starts" "no-stage: the bed was started without a built project"
fi
done_testing
