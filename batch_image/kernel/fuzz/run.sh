#!/bin/sh
# Fuzzes the kernel for SECONDS (20) in all under the address and undefined behaviour sanitizers,
# leaks included: with libFuzzer where clang is installed, else with gcc and random inputs. Before
# that each allocation of scanner, table and merger fails once (fuzz_memory.c; a few seconds).
#     kernel/fuzz/run.sh [SECONDS] [FOLDER for the corpora and findings]
set -eu
seconds=${1:-20}
here=$(cd "$(dirname "$0")" && pwd)
work=${2:-$(mktemp -d)}
mkdir -p "$work"
flags="-std=c11 -pthread -g -O1 -DSMALL_TABLES -Wall -Wextra -fno-omit-frame-pointer -fno-sanitize-recover=all"
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1
libfuzzer=false
if command -v clang >/dev/null && echo 'int LLVMFuzzerTestOneInput(void){return 0;}' |
    clang -x c -fsanitize=fuzzer,address - -o "$work/probe" 2>/dev/null; then
    libfuzzer=true
fi

# fuzz TARGET SEED SOURCE...: one target for its share of the time
fuzz() {
    target=$1 seed=$2
    shift 2
    sources="$here/fuzz_$target.c"
    for name in "$@"; do sources="$sources $here/../$name.c"; done
    share=$(((seconds + 1) / 2))
    if $libfuzzer; then
        mkdir -p "$work/$target"
        # The multiplications of hashes and indices of bits wrap by design, and only unsigned.
        clang $flags -fsanitize=fuzzer,address,undefined $sources -o "$work/fuzz_$target"
        printf "$seed" >"$work/$target/seed"
        "$work/fuzz_$target" -max_total_time="$share" -max_len=3000 -artifact_prefix="$work/" \
            -print_final_stats=1 -verbosity=0 "$work/$target"
    else
        ${CC:-cc} $flags -DSTANDALONE -fsanitize=address,undefined $sources -o "$work/fuzz_$target"
        "$work/fuzz_$target" "$share"
    fi
}

sources="$here/fuzz_memory.c"
for name in batch scanner pieces buffer icu unicode machine machine_portable machine_x86 machine_arm lines merger table keyed memory cursor sort crew absorb entries; do
    sources="$sources $here/../$name.c"
done
wrapped=
for name in malloc calloc realloc mmap mremap; do wrapped="$wrapped -Wl,--wrap=$name"; done
${CC:-cc} $flags -fsanitize=address,undefined $sources $wrapped -o "$work/fuzz_memory"
"$work/fuzz_memory"

fuzz scanner 'XabcdefghThe quick, 3.14 don\047t a_b \342\200\234x\342\200\235 \316\243\316\221\316\243' \
    scanner pieces buffer icu unicode machine machine_portable machine_x86 machine_arm table keyed memory cursor sort crew absorb entries
fuzz lines '\002\003a\t12\nabcdefghijklm\t3\nb\t1\n\303\251\t2\nb\t99\nzz\t1\n' \
    lines merger buffer unicode table keyed memory cursor sort crew absorb entries
echo "no finding in $seconds s ($work)"
