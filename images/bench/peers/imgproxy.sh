#!/bin/sh
# imgproxy.sh SOURCE MODULES OUT: builds imgproxy from a checkout of its source
# into the folder OUT, with the libvips that sharp ships (the npm packages
# @img/sharp-libvips-dev and @img/sharp-libvips-linux-x64 or -arm64 in
# MODULES/node_modules), so that both peers stand on the same one. That libvips
# is one library with all it needs and has no pkg-config files; they are written here.
set -eu

source=$1 modules=$(cd "$2" && pwd -P)/node_modules/@img
mkdir -p "$3"
out=$(cd "$3" && pwd -P)
case $(uname -m) in
x86_64) platform=linux-x64 ;;
aarch64) platform=linux-arm64 ;;
*) echo "imgproxy.sh: sharp ships no libvips for $(uname -m)" >&2 && exit 1 ;;
esac
include=$modules/sharp-libvips-dev/include
library=$modules/sharp-libvips-$platform/lib
file=$(cd "$library" && ls libvips-cpp.so.*)
cp "$library/$file" "$out"
ln -sf "$file" "$out/libvips-cpp.so"
mkdir -p "$out/pkgconfig" "$out/include/vips"
# libvips's old interfaces are not in these headers; imgproxy names their header
# and uses these constants of it.
cat >"$out/include/vips/vips7compat.h" <<'END'
#define VIPS_SAVEABLE_MONO VIPS_FOREIGN_SAVEABLE_MONO
#define VIPS_SAVEABLE_RGB VIPS_FOREIGN_SAVEABLE_RGB
#define VIPS_SAVEABLE_RGBA (VIPS_FOREIGN_SAVEABLE_RGB | VIPS_FOREIGN_SAVEABLE_ALPHA)
END
for name in vips glib-2.0; do
	cat >"$out/pkgconfig/$name.pc" <<END
Name: $name
Description: libvips with all it needs, as sharp ships it
Version: ${file#libvips-cpp.so.}
Cflags: -I$out/include -I$include -I$include/glib-2.0 -I$library/glib-2.0/include
Libs: -L$out -lvips-cpp
END
done
cd "$source"
export PKG_CONFIG_LIBDIR="$out/pkgconfig" CGO_ENABLED=1 CGO_CFLAGS=-O2 GOFLAGS=-mod=mod
# shellcheck disable=SC2016 # $ORIGIN is the linker's: beside the program
go build -trimpath -ldflags='-s -w -r $ORIGIN' -o "$out/imgproxy" ./cli
