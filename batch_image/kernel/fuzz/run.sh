#!/bin/sh
# Fuzzes the kernel for SECONDS (20) under the address and undefined behaviour sanitizers, leaks
# included: with libFuzzer where clang is installed, else with gcc and random inputs.
#     kernel/fuzz/run.sh [SECONDS] [FOLDER for the corpus and findings]
set -eu
seconds=${1:-20}
here=$(cd "$(dirname "$0")" && pwd)
work=${2:-$(mktemp -d)}
mkdir -p "$work/corpus"
sources="$here/fuzz_scanner.c"
for name in scanner pieces icu unicode classify table sort; do sources="$sources $here/../$name.c"; done
flags="-std=c11 -g -O1 -DSMALL_TABLES -Wall -Wextra -fno-omit-frame-pointer -fno-sanitize-recover=all"
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1
if command -v clang >/dev/null && echo 'int LLVMFuzzerTestOneInput(void){return 0;}' |
    clang -x c -fsanitize=fuzzer,address - -o "$work/probe" 2>/dev/null; then
    # The multiplications of hashes and indices of bits wrap by design, and only unsigned.
    clang $flags -fsanitize=fuzzer,address,undefined $sources -o "$work/fuzz"
    printf 'XabcdefghThe quick, 3.14 don\047t a_b \342\200\234x\342\200\235 \316\243\316\221\316\243' >"$work/corpus/seed"
    "$work/fuzz" -max_total_time="$seconds" -max_len=3000 -artifact_prefix="$work/" \
        -print_final_stats=1 -verbosity=0 "$work/corpus"
else
    ${CC:-cc} $flags -DSTANDALONE -fsanitize=address,undefined $sources -o "$work/fuzz"
    "$work/fuzz" "$seconds"
fi
echo "no finding in $seconds s ($work)"
