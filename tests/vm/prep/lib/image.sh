# shellcheck shell=bash
# The image "bb" of every engine: a static busybox and nothing else.

BB_APPLETS=(sh sleep dd cat yes head tail true false seq chroot)

make_bb_tar() {  # $1 tar
	local dir applet
	dir=$(mktemp -d)
	mkdir -p "$dir"/{bin,dev,etc,host,proc,sys,tmp,usr}
	cp /bin/busybox "$dir/bin/"
	for applet in "${BB_APPLETS[@]}"; do ln -s busybox "$dir/bin/$applet"; done
	: >"$dir/etc/os-release"
	chmod -R a+rX "$dir"
	tar -C "$dir" -cf "$1" .
	chmod 644 "$1"
	rm -rf "$dir"
}
