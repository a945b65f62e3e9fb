# shellcheck shell=bash
# Kernel and root image of the guest.
#
#   guest/packages ──mmdebstrap──► base-<key>.tar ─┐
#   Debian's cloud kernel ──unpack──► kernel-<K>/ ─┼─► image-<K>-<key>/{vmlinux,initrd,rootfs.ext4}
#   guest/rootfs, masked-units, init ──────────────┘
#
# Each stage is kept in the cache and only made again when what it is made from has changed.
# The key is the recipe's, not the package versions': `vm clean --all` fetches fresh packages.

VM_IMAGE_MB=6144
# virtio comes as modules in Debian's cloud kernel, ext4 is built in
VM_INITRD_MODULES=(virtio_pci virtio_blk virtio_console virtio_net virtio_rng)
VM_KERNEL_PACKAGE=linux-image-cloud-amd64

# The guest's package sources are what this machine's own apt uses for Debian, mirror included.
debian_sources() {
	# shellcheck disable=SC2016  # $(...) is apt's own template syntax
	apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) main' \
		'Created-By: Packages' 'Component: main' 'Origin: Debian' |
		grep -E ' bookworm(-updates|-security)? main$' | sort -u
}

guest_packages() { sed 's/#.*//' "$VM_DIR/guest/packages" | xargs | tr ' ' ','; }

make_base() {  # $1 target tar
	local start sources
	start=$(now)
	mapfile -t sources < <(debian_sources)
	[ ${#sources[@]} -gt 0 ] || die "this machine's apt knows no Debian 12 source (apt-get update?)"
	log "base system: mmdebstrap, about a minute"
	mmdebstrap --quiet --mode=root --variant=minbase --format=tar --include="$(guest_packages)" \
		--aptopt='APT::Install-Recommends "0"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/lintian/*' \
		bookworm "$1.part" "${sources[@]}" >&2
	mv "$1.part" "$1"
	log "base system: $(since "$start") s"
}

# apt with a state of its own under $1, so that the machine's sources stay as they are.
backports_apt() {  # $1 state directory, rest: arguments of a command that takes apt's -o
	local state=$1 mirror
	shift
	if [ ! -e "$state/list" ]; then
		mirror=$(debian_sources | awk '$3 == "bookworm" {print $2; exit}')
		[ -n "$mirror" ] || die "this machine's apt knows no Debian 12 source (apt-get update?)"
		mkdir -p "$state/lists" "$state/cache"
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
			"$mirror bookworm-backports main" >"$state/list"
	fi
	"$@" -o "Dir::Etc::SourceList=$state/list" -o Dir::Etc::SourceParts=/dev/null \
		-o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state/cache"
}

plain_apt() {  # same calling convention: $1 unused
	shift
	"$@"
}

make_kernel() {  # $1 kernel line (6.1, 6.12), $2 target directory
	local line=$1 dir=$2 start apt=plain_apt package version
	start=$(now)
	rm -rf "$dir"
	mkdir -p "$dir/deb" "$dir/root" "$dir/apt"
	if [ "$line" != 6.1 ]; then
		apt=backports_apt
		backports_apt "$dir/apt" apt-get -o APT::Sandbox::User=root -qq update >&2
	fi
	package=$($apt "$dir/apt" apt-cache depends $VM_KERNEL_PACKAGE | awk '/Depends: linux-image-/ {print $2; exit}')
	(cd "$dir/deb" && $apt "$dir/apt" apt-get -o APT::Sandbox::User=root -qq download "$package" >&2) ||
		die "kernel $line: cannot download ${package:-$VM_KERNEL_PACKAGE}"
	dpkg-deb -x "$dir"/deb/*.deb "$dir/root"
	# /lib in some packages, /usr/lib in others
	mv "$dir"/root/usr/lib/modules "$dir/modules" 2>/dev/null || mv "$dir/root/lib/modules" "$dir/modules"
	version=$(ls "$dir/modules")
	case $version in
	"$line".*) ;;
	*) die "wanted kernel $line, the mirror has $version" ;;
	esac
	python3 "$VM_DIR/host/extract-vmlinux.py" "$dir/root/boot/vmlinuz-$version" "$dir/vmlinux"
	mv "$dir/root/boot/config-$version" "$dir/config"
	rm -rf "$dir/root" "$dir/deb" "$dir/apt"
	echo "$version" >"$dir/version"
	log "kernel $version: $(since "$start") s"
}

mask_units() {  # $1 guest root
	local root=$1 unit units=$1/etc/systemd/system generators=$1/etc/systemd/system-generators
	mkdir -p "$generators"
	for unit in $(sed 's/#.*//' "$VM_DIR/guest/masked-units"); do
		case $unit in
		generator:*) ln -sf /dev/null "$generators/systemd-${unit#generator:}-generator" ;;
		*) ln -sf /dev/null "$units/$unit" ;;
		esac
	done
	# Nothing runs unless a scenario asks for it: no docker, oomd, timers, gettys by default.
	find "$root/etc/systemd/system" "$root/etc/systemd/user" -path '*.wants/*' -type l -delete
}

customize_root() {  # $1 guest root
	rm -f "$1/etc/resolv.conf"
	cp -r "$VM_DIR/guest/rootfs/." "$1/"
	mkdir -p "$1/mnt/share"
	mask_units "$1"
	grep -q '^tenant:' "$1/etc/passwd" || chroot "$1" useradd -m -u 1000 -s /bin/bash tenant
}

make_initrd() {  # $1 guest root with modules, $2 kernel version, $3 work directory, $4 output
	local root=$1 version=$2 work=$3 module number=10
	mkdir -p "$work"/{bin,dev,proc,sys,m,r}
	cp "$root/bin/busybox" "$work/bin/"
	cp "$VM_DIR/guest/init" "$work/init"
	for module in "${VM_INITRD_MODULES[@]}"; do
		chroot "$root" modprobe -S "$version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' |
		while read -r module; do
			number=$((number + 1))  # in load order
			case $module in
			*.xz) xz -dc "$root/$module" ;;
			*) cat "$root/$module" ;;
			esac >"$work/m/$number.ko"
		done
	(cd "$work" && find . | cpio -o -H newc --quiet) >"$4"
}

make_image() {  # $1 kernel line, $2 base tar, $3 kernel directory, $4 target directory
	local start work version
	start=$(now)
	version=$(<"$3/version")
	work=$(mktemp -d "$VM_CACHE/work.XXXXXX")
	mkdir "$work/root" "$work/image"
	tar -C "$work/root" --numeric-owner -xf "$2"
	mkdir -p "$work/root/usr/lib/modules"
	cp -a "$3/modules/." "$work/root/usr/lib/modules/"
	chroot "$work/root" depmod -a "$version"
	customize_root "$work/root"
	make_initrd "$work/root" "$version" "$work/initrd" "$work/image/initrd"
	cp "$3/vmlinux" "$work/image/vmlinux"
	make_ext4 "$work/root" "$work/image/rootfs.ext4" $VM_IMAGE_MB
	: >"$work/image/ok"
	rm -rf "$4"
	mv "$work/image" "$4"
	rm -rf "$work"
	log "image for kernel $version: $(since "$start") s, $(du -sm "$4" | cut -f1) MB"
}

make_ext4() {  # $1 directory, $2 image file (sparse), $3 size in MB. No journal: it never outlives a run.
	truncate -s "$3M" "$2"
	mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -E lazy_itable_init=1,nodiscard -m 0 -d "$1" "$2"
}

# Sets IMAGE to the directory of kernel line $1, making whatever is missing.
build_image() {
	local line=$1 base_key image_key
	base_key=$(guest_packages | short_hash)
	image_key=$({
		echo "$base_key $VM_IMAGE_MB ${VM_INITRD_MODULES[*]}"
		tree_hash "$VM_DIR/guest/rootfs" "$VM_DIR/guest/init" "$VM_DIR/guest/masked-units"
		declare -f customize_root mask_units make_initrd make_ext4
	} | short_hash)
	IMAGE=$VM_CACHE/image-$line-$image_key
	if [ -e "$IMAGE/ok" ]; then
		touch "$IMAGE/ok" 2>/dev/null || :  # still wanted, see drop_stale
		return
	fi
	require_host_commands
	if [ "$(id -u)" != 0 ]; then
		build_image_as_root "$line"
		return
	fi
	with_lock build build_stages "$line" "$VM_CACHE/base-$base_key.tar" "$VM_CACHE/kernel-$line" "$IMAGE"
}

build_stages() {  # $1 kernel line, $2 base tar, $3 kernel directory, $4 image directory
	[ -e "$2" ] || make_base "$2"
	[ -e "$3/version" ] || make_kernel "$1" "$3"
	[ -e "$4/ok" ] || make_image "$1" "$2" "$3" "$4"
	drop_stale
	# built through sudo: the cache stays the caller's
	[ -z "${SUDO_UID:-}" ] || chown -R "$SUDO_UID:$SUDO_GID" "$VM_CACHE"
}

# Only making an image needs root (chroot, owners); running one does not.
build_image_as_root() {
	log "making the guest image needs root: sudo"
	mkdir -p "$VM_CACHE"
	sudo env BAILIFF_VM_CACHE="$VM_CACHE" "$VM_DIR/vm" build --kernel "$1"
}
