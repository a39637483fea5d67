#!/bin/sh
# Finds what building (or testing) isobit needs, says what is missing, and installs it by apt where
# that is possible: as root or through sudo. Elsewhere it prints the list and exits 1.
# usage: scripts/deps.sh build|test        ISOBIT_NO_INSTALL=1 only checks
set -eu

what=${1:-build}
case $what in
build | test) ;;
*)
    echo "usage: $0 build|test" >&2
    exit 2
    ;;
esac

missing=

need() { # need PACKAGE COMMAND...: the package is missing unless the command succeeds
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

command_found() {
    command -v "$1"
}

cmake_new_enough() {
    cmake --version | awk 'NR == 1 { split($3, v, "."); good = v[1] > 3 || v[1] == 3 && v[2] >= 25 }
                           END { exit !good }'
}

header_found() { # for libraries that come without a pkg-config file
    printf '#include <stddef.h>\n#include <stdint.h>\n#include <stdarg.h>\n#include <setjmp.h>\n#include <%s>\n' "$1" |
        cc -E -
}

debian_python_has() { # Debian's own interpreter: a python3 earlier in PATH may be another one
    if [ -x /usr/bin/python3 ]; then python=/usr/bin/python3; else python=python3; fi
    "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)"
}

clang_runtime_found() {
    set -- "$(clang --print-runtime-dir)"/libclang_rt.fuzzer* "$(clang -print-resource-dir)"/lib/*/libclang_rt.fuzzer*
    for file; do
        [ -e "$file" ] && return 0
    done
    return 1
}

clang_runtime_package() { # named after clang's major version, so clang comes first
    echo "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
}

find_missing() {
    missing=
    need gcc command_found gcc
    need libc6-dev header_found stdio.h
    need cmake cmake_new_enough
    need ninja-build command_found ninja
    need pkg-config command_found pkg-config
    need python3 command_found python3
    need zlib1g-dev pkg-config --exists zlib
    need libcurl4-openssl-dev pkg-config --exists libcurl
    need libjansson-dev pkg-config --atleast-version=2.11 jansson
    need libpng-dev pkg-config --exists libpng
    need libjpeg62-turbo-dev pkg-config --exists libjpeg
    need libyaml-dev pkg-config --exists yaml-0.1
    need libcmocka-dev header_found cmocka.h
    if [ "$what" = test ]; then
        need git command_found git
        need libxml2-utils command_found xmllint
        need binutils command_found nm
        need clang command_found clang
        if command_found clang >/dev/null; then
            need "$(clang_runtime_package)" clang_runtime_found
        fi
        need qemu-user-static command_found qemu-aarch64-static
        need gcc-aarch64-linux-gnu command_found aarch64-linux-gnu-gcc
        need libc6-dev-arm64-cross test -e /usr/aarch64-linux-gnu/include/stdio.h
        need python3-numpy debian_python_has numpy
        need python3-torch debian_python_has torch
        need python3-torchvision debian_python_has torchvision
        need python3-sklearn debian_python_has sklearn
        need openssl command_found openssl
        need libsvm-tools command_found svm-train
        need python3-venv debian_python_has ensurepip
        need opencl-headers header_found CL/cl.h
        need ocl-icd-opencl-dev pkg-config --exists OpenCL
        need pocl-opencl-icd test -e /etc/OpenCL/vendors/pocl.icd
    fi
}

install() {
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # a list of words on purpose
    if ! $as_root apt-get install -y -q --no-install-recommends $missing; then
        echo "deps: once more, with fresh package lists" >&2
        $as_root apt-get update -q
        # shellcheck disable=SC2086
        $as_root apt-get install -y -q --no-install-recommends $missing
    fi
}

find_missing
if [ -z "$missing" ]; then
    exit 0
fi
echo "deps: missing for $what:$missing" >&2
if [ "${ISOBIT_NO_INSTALL:-0}" = 1 ]; then
    echo "deps: ISOBIT_NO_INSTALL=1, so nothing was installed" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "deps: no apt here. Please install the equivalents of the Debian packages above." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null; then
    as_root=sudo
else
    echo "deps: neither root nor sudo. Please run: apt-get install$missing" >&2
    exit 1
fi
install >&2
find_missing
if [ -n "$missing" ]; then # what depends on the version of something just installed
    install >&2
    find_missing
fi
if [ -n "$missing" ]; then
    echo "deps: still missing after installing:$missing" >&2
    exit 1
fi
