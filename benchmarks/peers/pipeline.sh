#!/bin/sh
# The shell's classic: pipeline.sh INPUT OUTPUT THREADS awk|sort RECUT
# RECUT is the command that divides runs that aren't ASCII (`recut.py`), or `cat` for ASCII text.
set -eu
export LC_ALL=C
words() {
    if [ -d "$1" ]; then find "$1" -name '*.txt' -exec cat {} +; else cat "$1"; fi |
        tr A-Z a-z | tr -cs 'a-z0-9\200-\377' '\n'
}
case $4 in
awk) words "$1" | mawk 'length($0) { n[$0 ""]++ } END { for (w in n) print w "\t" n[w] }' ;;
sort) words "$1" | sort -S 1G --parallel="$3" | uniq -c | sed -E 's/^ *([0-9]+) (.*)/\2\t\1/;/^\t/d' ;;
esac | $5 >"$2"
