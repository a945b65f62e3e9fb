# shellcheck shell=bash
# The bed's docker shape: a container from before the save is there after the resume, new ones start.
#
#   tenant.slice
#   ├── tenant-warm.slice
#   │   └── docker-<id>.scope   warm: 64 MB, 50 pids, half a CPU, older than this run
#   └── tenant-a.slice
#       └── docker-<id>.scope   new: 32 MB
#
# shape: docker
# timeout: 120

warm=$(echo $CGROOT/tenant.slice/tenant-warm.slice/docker-*.scope)
warm=${warm#"$CGROOT/"}
check "container warm has its scope" test -d "$CGROOT/$warm"
is "$(cg "$warm" memory.max)" $((64 << 20)) "warm: memory.max"
is "$(cg "$warm" pids.max)" 50 "warm: pids.max"
is "$(cg "$warm" cpu.max)" "50000 100000" "warm: cpu.max"
is "$(cg_key "$warm" cgroup.events populated)" 1 "warm runs"

docker_run new tenant-a.slice --memory 32m "${WITH_TOOLS[@]}" -- "${TOOL[@]}" sleep 1000
is "$(cg "$CG" memory.max)" $((32 << 20)) "a new container runs, with its limit"
read -r pid <"$CGROOT/$CG/cgroup.procs"
wait_for 20 "[[ \$(</proc/$pid/comm) = sleep ]]" "it can run a program of the guest"
is "$(tail -n 1 "/proc/$pid/cgroup")" "0::/$CG" "where /proc says it is"

docker_rm new
wait_for 20 "! cg_exists $CG" "a removed container leaves no cgroup"
done_testing
