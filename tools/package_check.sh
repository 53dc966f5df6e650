#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tools/package_check.sh — inside a bare Debian 12: the packages in /packages are used as strangers use them.
set -e
model=tf_efficientnet_lite0 weights=/packages/lite0.safetensors photo=/packages/coffee.png
cd /root
rm -rf fovea-* built && mkdir built
tar xf /packages/fovea-*-linux-x86_64.tar.xz
top=$(echo /root/fovea-*-linux-x86_64)
export PKG_CONFIG_PATH=$top/lib/pkgconfig
source=$top/share/doc/fovea/examples/classify.c

echo "the tool:"
"$top/bin/fovea" doctor
"$top/bin/fovea" classify "$model" "$photo" --weights "$weights" --csv --no-cache >built/tool.csv
grep -q espresso built/tool.csv

echo "a program in C99, shared:"
cc -std=c99 -Wall -Wextra -Wpedantic -Werror "$source" $(pkg-config --cflags --libs fovea) -o built/shared
built/shared "$model" "$weights" "$photo" | tee built/shared.txt
echo "the same with --static:"
cc -std=c99 "$source" $(pkg-config --cflags --libs --static fovea) -o built/static
built/static "$model" "$weights" "$photo" | cmp - built/shared.txt
echo "the same with the archive:"
cc -std=c99 "$source" $(pkg-config --cflags fovea) "$top/lib/libfovea.a" $(pkg-config --libs --static fovea | sed 's/-lfovea //') -o built/archive
built/archive "$model" "$weights" "$photo" | cmp - built/shared.txt
if ldd built/archive | grep -q libfovea; then echo "the archive's program needs libfovea.so"; exit 1; fi

echo "the same through CMake:"
mkdir built/cmake
printf 'cmake_minimum_required(VERSION 3.16)\nproject(stranger C)\nfind_package(fovea 0.1 REQUIRED)\nadd_executable(program %s)\ntarget_link_libraries(program fovea::fovea)\n' "$source" >built/cmake/CMakeLists.txt
cmake -S built/cmake -B built/cmake/build -DCMAKE_PREFIX_PATH="$top" >/dev/null
cmake --build built/cmake/build >/dev/null
built/cmake/build/program "$model" "$weights" "$photo" | cmp - built/shared.txt

echo "the .deb:"
dpkg -i /packages/fovea_*_amd64.deb >/dev/null
unset PKG_CONFIG_PATH
fovea doctor >/dev/null
cc -std=c99 "$source" $(pkg-config --cflags --libs fovea) -o built/deb
built/deb "$model" "$weights" "$photo" >built/deb.txt
grep -q espresso built/deb.txt
dpkg -r fovea >/dev/null
echo "all of it works here"
