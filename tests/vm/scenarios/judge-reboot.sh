# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# Everything goes down in the middle of an episode, as at a reboot, and comes up again with another boot id and the files of before: what
# was leased, and what was spent, is of no meaning any more. Nothing of it is put on those who come again under the same names, and nothing is
# told as a throttle of theirs; who hurts others anew is throttled anew.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: 40 % of a CPU in requests; CPUGuarantee=60%
#   └── tenant-spin.slice/spin.scope    tenant spin: weight 2000, 16 threads
#
# timeout: 200

throttled() { [[ $(cg "$SPIN" cpu.max) != max* ]]; }
answers() { ctl status --json && [ "$CTL_STATUS" = 0 ]; }

noise_policy </dev/null
noise_pair
guard_start
nap 3
before=$(limit_tree tenant.slice)
go spin
wait_for_act 40 ' throttle spin' "spin is throttled"
num "$(leases)" '>' 0 "there are leases"

# ---- down

pid=$(guard_pid)
systemctl kill --kill-whom=all -s KILL bailiffd.service
systemctl stop bailiffd.service bailiff-unlease.timer bailiff-netlink.service bailiff-netlink.socket 2>/dev/null || :
echo 1 >"$CGROOT/tenant.slice/cgroup.kill"
until_true 20 "! cg_exists $WEB && ! cg_exists $SPIN" || not_ok "all are gone"
systemctl stop tenant.slice
cat /proc/sys/kernel/random/uuid >/run/boot_id
mkdir -p /run/systemd/system/bailiffd.service.d
printf '[Service]\nBindReadOnlyPaths=/run/boot_id:/proc/sys/kernel/random/boot_id\n' \
	>/run/systemd/system/bailiffd.service.d/50-boot.conf
check "what it held is on file" test -s /run/bailiff/leases
systemctl daemon-reexec

# ---- up

noise_pair
guard_start
isnt "$(guard_pid)" "$pid" "another guard"
nap 5
is "$(leases)" 0 "nothing is leased"
is "$(limit_tree tenant.slice)" "$before" "all limits are as they were at first"
is "$(acts ' (throttle|relax|unthrottle) ')" "" "and nothing was done to that end"
ctl events --json
like "$CTL_OUT" 'leases in /run/bailiff was unreadable, or of another boot' "it says why"
go spin
wait_for 40 throttled "who hurts others is throttled anew"
rest spin
wait_for 90 '[ "$(limit_tree tenant.slice)" = "$before" ]' "and let go"
done_testing
