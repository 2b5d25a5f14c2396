#!/bin/sh
# Looks for leaks of the extension as Python uses it: builds it with the address sanitizer, goes
# through its types and their errors, and fails if LeakSanitizer names a line of the kernel.
# (Leaks in the kernel without Python are found by run.sh.)
#     PYTHON=.venv/bin/python kernel/fuzz/leaks.sh [FOLDER to build in]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
python=${PYTHON:-python3}
mkdir -p "$work"
cp -r "$here/../../kernel" "$here/../../wordfreq_batch" "$here/../../setup.py" \
    "$here/../../pyproject.toml" "$here/../../README.md" "$work"
rm -f "$work"/wordfreq_batch/*.so
(cd "$work" && CC=gcc LDSHARED="gcc -shared" \
    CFLAGS="-fsanitize=address -g -O1 -fno-omit-frame-pointer" LDFLAGS="-fsanitize=address" \
    "$python" setup.py -q build_ext --inplace)
ls "$work"/wordfreq_batch/_kernel*.so >/dev/null
# Python leaves some memory behind when it ends, so the report is searched for the kernel. Its
# module and types are made once and end with the process.
PYTHONMALLOC=malloc LD_PRELOAD=$(gcc -print-file-name=libasan.so) \
    ASAN_OPTIONS=detect_leaks=1:fast_unwind_on_malloc=0:exitcode=0:malloc_context_size=30 \
    PYTHONPATH="$work" "$python" "$here/use_everything.py" >"$work/leaks.txt" 2>&1 || {
    cat "$work/leaks.txt"
    exit 1
}
grep -q '^everything was used' "$work/leaks.txt"
grep '^SUMMARY' "$work/leaks.txt" || echo "no leak at all, not even of Python's"
if awk 'BEGIN { RS = "" } /leak of/ && /kernel[/.]/ && !/module_exec/ && !/PyInit__kernel/' "$work/leaks.txt" |
    grep .; then
    echo "the kernel leaks: see above" >&2
    exit 1
fi
echo "no leak of the kernel's ($work/leaks.txt)"
