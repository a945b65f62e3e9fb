# shellcheck shell=bash
# One virtual machine: its QEMU arguments, saving it, running a job in it.
#
# The first run of a "shape" (kernel, memory, cpus, disks, prep script) boots and saves the machine
# while it waits for its job; later runs of the shape resume it in about a second, memory and root
# disk mapped copy-on-write, so nothing that a job does is seen by the next.
#
# Filled by the command line (see `vm run`):
MEM=2048 CPUS=2 TIME_LIMIT=600
SHAPE='' PREP='' FULL='' NET='' COLD='' APPEND='' DISK_OPTS='' OUT='' CONSOLE='' VERBOSE=''
SHARES=() DISKS=() ENVIRONMENT=()
QEMU_PIDS=()

BOOT_SECONDS=120
PREP_SECONDS=${BAILIFF_VM_PREP_SECONDS:-300}
MACHINE=pc,hpet=off,vmport=off,usb=off,graphics=off
# Shares have one fixed (sparse) size, so that their content does not change the shape.
SHARE_DISK_SIZE=16G

# TCG's model is x86-64-v2 without cx16: QEMU 7.2 corrupts EFLAGS around an emulated cmpxchg16b, and
# kernel 6.12 dies of it in the slab allocator. No AVX, XSAVE, ERMS: cheaper context switches, and
# clearing pages with `rep stosb` is slow when emulated.
TCG_CPU=qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand,-cx16

KVM_CPU=${BAILIFF_VM_KVM_CPU:-host}

kernel_command_line() {
	local target=vmjob.target unit
	local line="console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr audit=0 lsm=bpf nowatchdog"
	line+=" psi=1 cgroup_no_v1=all random.trust_cpu=on net.ifnames=0 systemd.show_status=no"
	line+=" unknown_nmi_panic panic_print=1"  # host/watch.py asks a machine that hangs
	[ "$ACCEL" = kvm ] || line+=" tsc=reliable clocksource=tsc no_timer_check"
	if [ -n "$FULL" ]; then
		target=vmjob-full.target
	else
		for unit in systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
			systemd-udev-trigger.service systemd-udev-settle.service; do
			line+=" systemd.mask=$unit"
		done
	fi
	echo "$line systemd.unit=$target${APPEND:+ $APPEND}"
}

# Fills QEMU_ARGS with all but the back ends of the ports and of the console.
qemu_arguments() {  # $1 root disk, $2 its format, $3 directory of share and disk files, $4 cold|save|resume
	local i cpu snapshot=on
	local -a accel
	if [ "$ACCEL" = kvm ]; then
		accel=(-accel kvm)
		cpu=$KVM_CPU
	else
		accel=(-accel "tcg,thread=multi,tb-size=512")
		cpu=$TCG_CPU
	fi
	[ "$4" != save ] || snapshot=off
	QEMU_ARGS=(
		"${accel[@]}" -cpu "$cpu" -machine "$MACHINE,memory-backend=mem" -smp "$CPUS" -m "$MEM"
		-nodefaults -no-user-config -display none -no-reboot
		-kernel "$IMAGE/vmlinux" -initrd "$IMAGE/initrd" -append "$(kernel_command_line)"
		-drive "file=$1,format=$2,if=none,id=root,snapshot=$snapshot,cache=unsafe"
		-device virtio-blk-pci,drive=root,serial=root
	)
	case $4 in
	cold) QEMU_ARGS+=(-object "memory-backend-ram,id=mem,size=${MEM}M") ;;
	save) QEMU_ARGS+=(-object "memory-backend-file,id=mem,size=${MEM}M,mem-path=$3/ram,share=on") ;;
	# mapped privately: pages are shared with the cache until written
	resume) QEMU_ARGS+=(
		-object "memory-backend-file,id=mem,size=${MEM}M,mem-path=$SAVED/ram,share=off" -incoming defer
		-chardev "pipe,id=mon,path=$3/mon" -mon chardev=mon,mode=control) ;;
	esac
	for ((i = 1; i <= ${#SHARES[@]}; i++)); do
		QEMU_ARGS+=(-drive "file=$3/share$i,format=raw,if=none,id=s$i,cache=unsafe"
			-device "virtio-blk-pci,drive=s$i,serial=share$i")
	done
	for ((i = 1; i <= ${#DISKS[@]}; i++)); do
		QEMU_ARGS+=(-drive "file=$3/disk$i,format=raw,if=none,id=d$i,cache=unsafe${DISK_OPTS:+,$DISK_OPTS}"
			-device "virtio-blk-pci,drive=d$i,serial=disk$i")
	done
	[ -z "$NET" ] || QEMU_ARGS+=(-netdev user,id=n0 -device virtio-net-pci,netdev=n0,romfile=)
	# guest/rootfs/usr/lib/vm/job has the other end of the ports
	QEMU_ARGS+=(-device virtio-rng-pci -device virtio-serial-pci,max_ports=6
		-device virtserialport,chardev=out,nr=1,name=out -device virtserialport,chardev=rc,nr=2,name=rc
		-device virtserialport,chardev=files,nr=3,name=files -device virtserialport,chardev=in,nr=4,name=in)
}

# ---- jobs -----------------------------------------------------------------------------------------

# What guest/rootfs/usr/lib/vm/job reads: a line and a tar.
make_job() {  # $1 script, $2 "prep" or "", $3 output file, rest: arguments of the script
	local script=$1 prep=$2 output=$3 dir variable
	shift 3
	dir=$(mktemp -d "$WORK/job.XXXXXX")
	install -m 755 "$script" "$dir/script"
	[ -z "$prep" ] || [ ! -d "${script%/*}/lib" ] || cp -r "${script%/*}/lib" "$dir/"
	{
		printf 'VM_NSHARE=%s VM_NET=%s VM_OUT=%s VM_PREP=%s\n' "${#SHARES[@]}" "$NET" "${OUT:+1}" "$prep"
		printf 'VM_ARGS=('
		[ $# = 0 ] || printf '%q ' "$@"
		printf ')\n'
		for variable in "${ENVIRONMENT[@]}"; do
			printf 'export %s=%q\n' "${variable%%=*}" "${variable#*=}"
		done
	} >"$dir/conf"
	{
		echo "GO $EPOCHREALTIME $RANDOM$RANDOM$RANDOM$$"
		tar -C "$dir" -cf - .
	} >"$output"
	rm -rf "$dir"
}

make_share_disks() {  # in $WORK, from SHARES
	local i dir mb
	for ((i = 1; i <= ${#SHARES[@]}; i++)); do
		dir=${SHARES[i - 1]}
		mb=$(du -sm "$dir" | cut -f1)
		make_ext4 "$dir" "$WORK/share$i" $((mb + mb / 4 + 256))
		truncate -s $SHARE_DISK_SIZE "$WORK/share$i"
	done
}

make_data_disks() {  # $1 directory
	local i
	for ((i = 1; i <= ${#DISKS[@]}; i++)); do truncate -s "${DISKS[i - 1]}M" "$1/disk$i"; done
}

# ---- saving ---------------------------------------------------------------------------------------

# Sets SAVED to the directory of the saved machine of this shape.
saved_directory() {
	local key
	key=$({
		echo "${IMAGE##*/} $MEM $CPUS ${#SHARES[@]} ${DISKS[*]} $NET $ACCEL $TCG_CPU $KVM_CPU $MACHINE"
		kernel_command_line
		qemu-system-x86_64 --version | head -n 1
		declare -f qemu_arguments
		# with KVM the guest has seen this very machine's CPU
		[ "$ACCEL" = tcg ] || machine_fingerprint
		if [ -n "$PREP" ]; then
			cat "$PREP"
			[ ! -d "${PREP%/*}/lib" ] || tree_hash "${PREP%/*}/lib"
		fi
	} | short_hash)
	SAVED=$VM_CACHE/saved-$key
}

save_machine() {
	[ ! -e "$SAVED/ok" ] || return 0
	local part=$SAVED.part pid i start
	start=$(now)
	log "first run of this shape (${SHAPE:-plain}, kernel ${KERNEL}, $MEM MB, $CPUS cpus, $ACCEL):" \
		"booting it${PREP:+ and preparing it}"
	rm -rf "$part"
	mkdir -p "$part"
	python3 "$VM_DIR/host/overlay-qcow2.py" "$IMAGE/rootfs.ext4" "$part/root.qcow2"
	for ((i = 1; i <= ${#SHARES[@]}; i++)); do truncate -s $SHARE_DISK_SIZE "$part/share$i"; done
	make_data_disks "$part"
	[ -z "$PREP" ] || make_job "$PREP" prep "$part/job"
	qemu_arguments "$part/root.qcow2" qcow2 "$part" save
	qemu-system-x86_64 "${QEMU_ARGS[@]}" -chardev "file,id=out,path=$part/prep.log" \
		-chardev "file,id=rc,path=$part/rc" -chardev null,id=files \
		-chardev "socket,id=in,path=$part/in,server=on,wait=off" -serial "file:$part/console" \
		-qmp "unix:$part/qmp,server=on,wait=off" </dev/null 2>"$part/qemu.err" {lock_fd}>&- &
	pid=$!
	QEMU_PIDS+=("$pid")
	# in the background: bash runs traps in a `wait`, not while a command is in the foreground
	python3 -B "$VM_DIR/host/savevm.py" "$part" "$pid" $BOOT_SECONDS "$PREP_SECONDS" &
	wait $! || {
		cat "$part/qemu.err" >&2
		tail -n 20 "$part/console" >&2
		die "saving the machine failed; its console: $part/console"
	}
	wait "$pid" || :
	rm -f "$part"/{job,qmp,in} "$part"/share* "$part"/disk*
	: >"$part/ok"
	rm -rf "$SAVED"
	mv "$part" "$SAVED"
	log "machine saved: $(since "$start") s, $(du -sm "$SAVED" | cut -f1) MB"
}

# ---- running --------------------------------------------------------------------------------------

# QMP without a client: QEMU reads its commands from a plain file, its answers go nowhere.
write_resume_commands() {  # $1 file
	cat >"$1" <<-EOF
		{"execute":"qmp_capabilities"}
		{"execute":"migrate-set-capabilities","arguments":{"capabilities":[{"capability":"x-ignore-shared","state":true}]}}
		{"execute":"migrate-incoming","arguments":{"uri":"exec:cat '$SAVED/state'"}}
	EOF
}

# Everything of one run, gone at the end, QEMU included.
make_work_directory() {
	[ -z "${WORK:-}" ] || return 0
	WORK=$(mktemp -d "${TMPDIR:-/tmp}/bailiff-vm.XXXXXX")
	trap cleanup EXIT
	trap 'exit 130' INT TERM HUP
}

cleanup() {
	local pid
	trap '' INT TERM HUP  # timeout(1) signals the whole group, so the same signal may come twice
	for pid in "${QEMU_PIDS[@]}"; do kill "$pid" 2>/dev/null || :; done
	rm -rf "$WORK"
}

# Runs script $1 with the remaining arguments in a machine of the shape; exits with its status,
# 124 when TIME_LIMIT was reached (watch.py tells of the machine then), 125 when the machine itself failed.
run_job() {
	local script=$1 start qemu_status=0 output_pid status
	local -a console
	shift
	make_work_directory
	start=$(now)
	build_image "$KERNEL"
	choose_accel
	if [ -n "$COLD" ]; then
		[ -z "$PREP" ] || die "a prepared shape needs a saved machine: no --cold with it"
	else
		saved_directory
		[ -e "$SAVED/ok" ] || with_lock "${SAVED##*/}" save_machine
		touch "$SAVED/ok" 2>/dev/null || :  # still wanted, see drop_stale
	fi

	make_share_disks
	make_data_disks "$WORK"
	make_job "$script" '' "$WORK/in.in" "$@"
	ln -s /dev/null "$WORK/in.out"
	if [ -n "$COLD" ]; then
		qemu_arguments "$IMAGE/rootfs.ext4" raw "$WORK" cold
	else
		write_resume_commands "$WORK/mon.in"
		ln -s /dev/null "$WORK/mon.out"
		qemu_arguments "$SAVED/root.qcow2" qcow2 "$WORK" resume
	fi
	if [ "$CONSOLE" = stdio ]; then
		console=(-chardev stdio,id=console,signal=off -serial chardev:console)
	else
		console=(-serial "file:${CONSOLE:-$WORK/console}")
		exec </dev/null
	fi
	mkfifo "$WORK/out"
	: >"$WORK/rc"
	cat <"$WORK/out" &
	output_pid=$!
	# <&0: a background command would get /dev/null
	python3 -B "$VM_DIR/host/watch.py" "$TIME_LIMIT" "$WORK/qmp" qemu-system-x86_64 "${QEMU_ARGS[@]}" \
		-chardev "file,id=out,path=$WORK/out" -chardev "file,id=rc,path=$WORK/rc" \
		-chardev "file,id=files,path=$WORK/files" -chardev "pipe,id=in,path=$WORK/in" \
		"${console[@]}" -monitor none -qmp "unix:$WORK/qmp,server=on,wait=off" <&0 2>"$WORK/qemu.err" &
	QEMU_PIDS+=($!)
	wait $! || qemu_status=$?
	# If QEMU died before it opened the fifo, cat still waits for a writer.
	[ -s "$WORK/rc" ] || timeout 2 sh -c ': >"$0"' "$WORK/out" || :
	wait $output_pid || :

	status=$(sed -n 's/^rc //p' "$WORK/rc")
	[ -z "$OUT" ] || take_files
	[ -z "$VERBOSE" ] || log "$(since "$start") s; guest uptime: $(tr '\n' ' ' <"$WORK/rc")"
	[ -n "$status" ] || explain_no_status $qemu_status
	exit "$status"
}

take_files() {
	mkdir -p "$OUT"
	[ ! -s "$WORK/files" ] || tar -C "$OUT" --no-same-owner -xf "$WORK/files" 2>/dev/null ||
		log "the guest's files came back incomplete"
}

explain_no_status() {  # $1 status of watch.py, which is QEMU's or 124
	[ "$1" = 124 ] || log "the guest ended without a status (QEMU: $1)"
	cat "$WORK/qemu.err" >&2
	[ "$CONSOLE" = stdio ] || console_of_interest "${CONSOLE:-$WORK/console}" | sed 's/^/vm: console: /' >&2
	[ "$1" != 124 ] || exit 124
	exit 125
}

console_of_interest() {  # $1 file: its end, or of a list of tasks (watch.py) what comes before and who does not sleep
	if grep -q '\] task:' "$1"; then
		awk '/\] task:/ {list = 1; show = /state:[RD]/} /\] Sched Debug/ {exit} !list || show' "$1" | tail -n 100
	else
		tail -n 40 "$1"
	fi
}
