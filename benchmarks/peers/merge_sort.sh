#!/bin/sh
# Sum count files, each sorted by word, with the shell: merge_sort.sh FOLDER OUTPUT THREADS MEMORY
# More than some dozen files merged at once is slower; awk compares `1` and `01` as strings.
set -eu
export LC_ALL=C
tab=$(printf '\t')
find "$1" -name '*.tsv' -print0 |
    sort -m --batch-size=64 -t "$tab" -k1,1 --files0-from=- |
    mawk -F '\t' '
        { if ($1 "" != word "") { if (NR > 1) print word "\t" sum; word = $1; sum = 0 } sum += $2 }
        END { print word "\t" sum }' |
    sort -S 512M --parallel="$3" -t "$tab" -k2,2nr -k1,1 >"$2"
