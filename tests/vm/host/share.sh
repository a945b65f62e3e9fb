# shellcheck shell=bash
# What travels into the guest as /mnt/share:
#
#   root/   the staged installation, to be copied onto /
#   vm/     tests/vm/{lib.sh,guest,scenarios,...}, tests/grafana-queries: whatever runs inside
#   bench/  the repository's bench/, if there is one

default_stage() {  # prints build/stage of this checkout, if it is there
	local top=${VM_DIR%/tests/vm}
	[ ! -d "$top/build/stage" ] || echo "$top/build/stage"
}

make_share() {  # $1 directory to fill, $2 staged installation or ""
	local top=${VM_DIR%/tests/vm}
	mkdir -p "$1/root" "$1/vm"
	if [ -n "$2" ]; then
		cp -r --preserve=mode,timestamps,links "$2/." "$1/root/"
	else
		log "no staged build: bailiff is not in the guest"
	fi
	cp -r "$VM_DIR/lib.sh" "$VM_DIR/scenarios" "$VM_DIR/guest/install-bailiff" "$top/tests/grafana-queries" "$1/vm/"
	[ ! -e "$VM_DIR/demo.sh" ] || cp "$VM_DIR/demo.sh" "$1/vm/"
	cp "$top/tests/exporter-fuzz" "$1/vm/"
	[ ! -d "$top/bench" ] || cp -r "$top/bench" "$1/"
}
