#!/bin/sh
# Fuzzes the kernel under the address and undefined behaviour sanitizers, leaks included: scanner and
# lines side by side for SECONDS (20), with libFuzzer where clang is installed, else with gcc and
# random inputs. Beside them each allocation of scanner, table and merger fails, alone and with all
# that follow (memory_*.c).
#     kernel/fuzz/run.sh [SECONDS] [FOLDER for the corpora and findings]
set -eu
seconds=${1:-20}
here=$(cd "$(dirname "$0")" && pwd)
kernel=$(dirname "$here")
work=${2:-$(mktemp -d)}
mkdir -p "$work/objects"
flags="-I$kernel -std=c11 -pthread -g -O1 -DSMALL_TABLES -Wall -Wextra -fno-omit-frame-pointer -fno-sanitize-recover=all"
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1
libfuzzer=false compiler=${CC:-cc} sanitizers=address,undefined coverage=
if command -v clang >/dev/null && echo 'int LLVMFuzzerTestOneInput(void){return 0;}' |
    clang -x c -fsanitize=fuzzer,address - -o "$work/probe" 2>/dev/null; then
    libfuzzer=true compiler=clang coverage=,fuzzer-no-link
fi

# The parts of the kernel that know nothing of Python, compiled once.
for room in base unicode tables machine scan merge; do ls "$kernel/$room/"*.c; done |
    xargs -P "$(getconf _NPROCESSORS_ONLN)" -I{} sh -c \
        "$compiler $flags -fsanitize=$sanitizers$coverage -c {} -o $work/objects/\$(basename {} .c).o"

# program NAME OPTION...
program() {
    name=$1
    shift
    "$compiler" $flags "$@" "$here/$name.c" "$work"/objects/*.o -o "$work/$name"
}

# memory NAME
memory() {
    wrapped=
    for call in malloc calloc realloc mmap mremap; do wrapped="$wrapped -Wl,--wrap=$call"; done
    program "$1" "-fsanitize=$sanitizers" $wrapped
    "$work/$1" &
    alone=$!
    "$work/$1" all
    wait $alone
}

# fuzz TARGET SEED
fuzz() {
    if $libfuzzer; then
        program "fuzz_$1" "-fsanitize=fuzzer,$sanitizers"
        mkdir -p "$work/$1"
        printf "$2" >"$work/$1/seed"
        "$work/fuzz_$1" -max_total_time="$seconds" -max_len=3000 -artifact_prefix="$work/" \
            -print_final_stats=1 -verbosity=0 "$work/$1"
    else
        program "fuzz_$1" -DSTANDALONE "-fsanitize=$sanitizers"
        "$work/fuzz_$1" "$seconds"
    fi
}

memory memory_tables &
running=$!
memory memory_scan &
running="$running $!"
fuzz scanner 'XabcdefghThe quick, 3.14 don\047t a_b \342\200\234x\342\200\235 \316\243\316\221\316\243' &
running="$running $!"
fuzz lines '\002\003a\t12\nabcdefghijklm\t3\nb\t1\n\303\251\t2\nb\t99\nzz\t1\n' &
running="$running $!"
found=0
for each in $running; do wait "$each" || found=1; done
[ $found = 0 ] || { echo "findings: see above and $work" >&2; exit 1; }
echo "no finding in $seconds s ($work)"
