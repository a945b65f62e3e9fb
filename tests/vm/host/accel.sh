# shellcheck shell=bash
# KVM or TCG (plain emulation)?
#
# That /dev/kvm exists proves nothing: on nested and paravirtual hosts it may interpret each
# instruction, and the guest never comes up. So boot the real guest once; KVM it is only if the
# guest says "ready" within the deadline. The verdict is kept per kernel image and machine.

KVM_PROBE_SECONDS=${BAILIFF_VM_KVM_PROBE_SECONDS:-20}

# Changes when the cache moves to another machine, or this one gets another kernel or QEMU.
machine_fingerprint() {
	{
		cat /etc/machine-id 2>/dev/null || :
		uname -srm
		echo "$KVM_CPU"
		sed -n '/^\(model name\|microcode\)/p' /proc/cpuinfo | sort -u
		qemu-system-x86_64 --version | head -n 1
	} | short_hash
}

# Sets ACCEL to kvm or tcg for $IMAGE.
choose_accel() {
	local verdict_file
	case ${BAILIFF_VM_ACCEL:-auto} in
	tcg | kvm) ACCEL=$BAILIFF_VM_ACCEL ;;
	auto)
		ACCEL=tcg
		if [ -w /dev/kvm ]; then
			verdict_file=$VM_CACHE/accel-${IMAGE##*/}-$(machine_fingerprint)
			[ -e "$verdict_file" ] || with_lock accel probe_kvm_once "$verdict_file"
			read -r ACCEL _ <"$verdict_file"
		fi
		;;
	*) die "BAILIFF_VM_ACCEL=$BAILIFF_VM_ACCEL: expected auto, kvm or tcg" ;;
	esac
}

probe_kvm_once() {  # $1 verdict file
	[ ! -e "$1" ] || return 0
	log "does KVM work here? booting a guest, at most $KVM_PROBE_SECONDS s"
	probe_kvm >"$1.part" 2>/dev/null  # the shell's own word about an aborted QEMU
	mv "$1.part" "$1"
	log "accelerator: $(<"$1")"
}

probe_kvm() {  # prints the verdict
	local ACCEL=kvm MEM=1024 CPUS=1 NET='' SHARES=() DISKS=()  # what qemu_arguments looks at
	local dir pid start deadline verdict="tcg (with KVM the guest was not up after $KVM_PROBE_SECONDS s)"
	dir=$(mktemp -d "$VM_CACHE/work.XXXXXX")
	start=$(now)
	qemu_arguments "$IMAGE/rootfs.ext4" raw "$dir" cold
	qemu-system-x86_64 "${QEMU_ARGS[@]}" -chardev null,id=out -chardev "file,id=rc,path=$dir/rc" \
		-chardev null,id=files -chardev null,id=in -serial null -monitor none \
		</dev/null >/dev/null 2>"$dir/qemu.err" {lock_fd}>&- &
	pid=$!
	deadline=$((SECONDS + KVM_PROBE_SECONDS))
	while [ $SECONDS -lt $deadline ]; do
		if grep -qs ready "$dir/rc"; then
			verdict="kvm (guest up after $(since "$start") s)"
			break
		fi
		kill -0 "$pid" 2>/dev/null || {
			verdict="tcg (QEMU with KVM gave up: $(tail -n 1 "$dir/qemu.err"))"
			break
		}
		sleep 0.2
	done
	kill -KILL "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
	rm -rf "$dir"
	echo "$verdict"
}
