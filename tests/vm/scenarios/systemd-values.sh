# shellcheck shell=bash
# Values mean here what they mean to systemd: the same text given to `systemctl set-property` and to a
# policy ends as the same value in the kernel's file.
#
#   ref.slice       set by systemctl
#   tenant-v.slice  set by bailiff
#
# timeout: 240

systemctl start ref.slice tenant-v.slice
R=$CGROOT/ref.slice V=$CGROOT/tenant.slice/tenant-v.slice
scope r ref.slice sleep 1000
scope v tenant-v.slice sleep 1000
policy_set <<<$'[Host]\nMode=ceilings'
guard_start
# Those first whose controller is enabled by PID 1 only when it is told: calls to it are rationed.
rows=(
	"CPUQuota 50% cpu.max" "CPUQuota 250% cpu.max" "CPUQuota 7% cpu.max" "CPUWeight 1 cpu.weight" "CPUWeight 10000 cpu.weight"
	"IOWeight 42 io.weight" "IOReadBandwidthMax /dev/vda\ 5M io.max" "IOWriteIOPSMax /dev/vda\ 2K io.max"
	"IOWriteBandwidthMax /dev/vda\ 1500K io.max"
	"MemoryMax 512M memory.max" "MemoryMax 1.5G memory.max" "MemoryMax 1G\ 200M memory.max" "MemoryMax infinity memory.max"
	"MemoryMax 30% memory.max" "MemoryMax 12.5% memory.max" "MemoryMax 123456789 memory.max" "MemoryHigh 1T memory.high"
	"MemoryHigh 7K memory.high" "MemoryLow 64M memory.low" "MemoryMin 5% memory.min" "MemorySwapMax 0 memory.swap.max"
	"TasksMax 77 pids.max" "TasksMax infinity pids.max" "TasksMax 10% pids.max"
)
for row in "${rows[@]}"; do
	eval "set -- $row"
	systemctl set-property --runtime ref.slice "$1=$2"
	want=$(<"$R/$3")
	policy_set <<P
[Host]
Mode=ceilings
[Tenant v]
Match=slice=tenant-v.slice
$1=$2
P
	ctl reload
	[ "$CTL_STATUS" = 0 ] || { not_ok "$1=$2 loads" "$CTL_ERR"; continue; }
	start=$EPOCHREALTIME
	# The file may be missing until PID 1 has enabled its controller.
	if until_true 20 "[ -e $V/$3 ] && [ \"\$(<$V/$3)\" = \"$want\" ]"; then
		ok "$1=$2 is ${want:-nothing} ($(elapsed "$start") s)"
	else
		not_ok "$1=$2" "systemd: $want" "bailiff: $(cg tenant.slice/tenant-v.slice "$3")"
	fi
	systemctl revert ref.slice >/dev/null 2>&1
done
# What systemd refuses is refused here.
for text in "MemoryMax=12Q" "MemoryMax=-1" "CPUQuota=0%" "CPUQuota=50" "CPUWeight=0" "CPUWeight=10001" "TasksMax=0" "TasksMax=x" \
	"IOReadBandwidthMax=/dev/vda" "IOWeight=20000"; do
	if systemctl set-property --runtime ref.slice "$text" 2>/dev/null; then
		diag "systemd takes $text"
		continue
	fi
	printf '[Tenant v]\nMatch=slice=tenant-v.slice\n%s\n' "$text" >/run/p.ini
	ctl policy check --offline /run/p.ini
	is "$CTL_STATUS" 1 "refused by both: $text"
done
done_testing
