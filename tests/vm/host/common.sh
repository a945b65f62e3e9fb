# shellcheck shell=bash
# Small things that every host-side piece of the test bed uses.

VM_CACHE=${BAILIFF_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff-vm}
VM_KERNELS=(6.1 6.12)
# Everything that `vm` runs on the host, and the Debian packages it comes in.
VM_HOST_PACKAGES=(qemu-system-x86 mmdebstrap lz4 xz-utils e2fsprogs cpio python3)

log() { echo "vm: $*" >&2; }

die() {  # 125: trouble with the bed, never the verdict of a scenario
	log "$*"
	exit 125
}

now() { echo "$EPOCHREALTIME"; }

since() {  # $1 an earlier now: seconds with one decimal
	local us=$((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}))
	printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}

short_hash() { sha256sum | cut -c1-12; }

# Content of a tree of small files as one hash: base names, modes and bytes, not where the tree is,
# so that all checkouts share the cache.
tree_hash() {  # $@ files or directories
	find "$@" -type f -printf '%f %m ' -exec sha256sum {} \; | awk '{print $1, $2, $3}' | sort | short_hash
}

# One maker at a time for each thing in the cache; the others wait and then find it made.
# No `||` around "$@": it would switch off errexit inside.
with_lock() {  # $1 name, rest: command
	local name=$1
	shift
	mkdir -p "$VM_CACHE"
	exec {lock_fd}>"$VM_CACHE/.lock-$name"
	flock "$lock_fd"
	"$@"
	exec {lock_fd}>&-
}

require_host_commands() {
	local command
	for command in qemu-system-x86_64 mmdebstrap lz4 xz mke2fs cpio python3; do
		command -v "$command" >/dev/null ||
			die "missing host command $command: apt-get install ${VM_HOST_PACKAGES[*]}"
	done
}

# What nobody used for three days makes room: images and saved machines are cheap to make again.
drop_stale() {
	local marker
	find "$VM_CACHE" -maxdepth 2 \( -path '*/image-*/ok' -o -path '*/saved-*/ok' \) -mtime +2 2>/dev/null |
		while read -r marker; do rm -rf "${marker%/ok}"; done
	find "$VM_CACHE" -maxdepth 1 -name 'work.*' -mmin +120 -exec rm -rf {} + 2>/dev/null || :
}
