"""The sentences of docs/benchmarks.md; `report` puts the figures between them."""

HEAD = """\
# Benchmarks

Written by `make bench` and `make bench-pipeline`: change `benchmarks/`, not this file. How fast
words are counted, merged and read, beside the programs that one would use instead; and whether they
all come to the same result.
"""

SUMMARY = """\
MB counted per CPU second with one thread, start-up left out, every contestant on the same bytes.
Two kinds of peers: those made to give **the same words** as we do (UAX #29, by a regular
expression), and those that count by **a simpler rule** (runs of letters and digits), which is
easier work and gives other words. Of either kind, the best one:

"""

SUMMARY_HEAD = (
    "corpus",
    "ours",
    "the same words: best peer",
    "its CPU a MB, ours = 1",
    "a simpler rule: best peer",
    "its CPU a MB, ours = 1",
)

METHOD = """\
## Method

* Every run is a process of its own, started by a small watcher that adds up what it and all its
  descendants used (`wait4`; PySpark's Java process too), start-up and writing the result included.
* All cases once, then all of them again: a machine that gets slower does so for everybody. Figures
  are medians, with (min–max) where there were several runs: three of ours, and of peers that take
  up to three seconds. What takes longer runs once, so that all of it fits into 18 minutes.
  PySpark, scikit-learn and `sort` take twenty seconds and more and are the best nowhere: they run
  only on *english*, with one thread. Python's `re` and DuckDB by our rule are left out on *quotes*,
  and `mawk` on *logs*. When time is up, the end of the last round is missing.
* *CPU s* is all that was used. *MB per CPU s* is what one pays for; in counting it is without
  start-up, that is, without what the same contestant takes for a file of 1 KB (a table below);
  corpora are as large as they are so that little depends on that. Ratios are of these CPU seconds,
  and *ours* is `wordfreq migrate` with one thread on the same file. *wall* with two threads on two
  cores is how long one waits. *peak* is the largest process, or the sum of several at a moment,
  whichever is more; at least 12 MB, which is what the watcher has. Before every run its file is
  read, so that it is in the page cache, and half a gigabyte of memory is written to: on a virtual
  machine whoever touches it first after a pause would pay for it.
* Each contestant has its own program, the fastest that we could make of it, in
  [`benchmarks/peers/`](../benchmarks/peers); `POLARS_MAX_THREADS`, `threads`, `max_threads`,
  `target_partitions` and `local[n]` are set to the number in the table.
* A contestant that fails, or takes more than ten minutes or three quarters of the memory, is a row
  that says so. All figures: [`benchmarks.json`](benchmarks.json).
"""

CORPORA = """\
## Corpora

Made by [`corpora.py`](../benchmarks/bench/corpora.py) from what installed packages bring: the same
bytes for the same packages and sizes. Nothing is downloaded for it ({debian} the Debian
documentation of `make bench-texts`).

* **english**: {english_paragraphs} different paragraphs ({english_mb} MB, fingerprint
  `{english_print}`) of English prose: the documentation inside botocore, docstrings and READMEs of
  the installed packages, shuffled. ASCII only. It is technical English with many repeated phrases,
  but no repeated paragraph. Beyond their size the paragraphs come again, each time in another
  order; and as text never stops bringing new words, one in 80 words of these passes is replaced by
  a made-up one, drawn with a long tail, so that most of the made-up ones are met once.
* **quotes**: the same text, in another order, set as a typesetter would: “ ” ‘ ’ – — …
* **multilingual**: {other_paragraphs} different messages ({other_mb} MB, `{other_print}`), the
  translations of Django and Plone into about a hundred languages, among them de, fr, ru, el, ja,
  zh, ar, fa, th, hi, ko, he and my. Short texts; beyond their size they come again like those of
  *english*. Made-up words are there in Latin, Cyrillic, Greek, Arabic, Hebrew and Devanagari
  letters, as the word whose place they take; texts in other scripts come again as they are.
* **logs**: generated lines of a web service: UUIDs, addresses, users, sessions, so most words are
  different ones.
* **small files**: {files} files of 5 to 15 KB, cut from *english*. **One file**: *english* again,
  longer.

Sizes: {sizes}.
"""

WORDS = """\
## What is compared with what

Our words are ICU's: UAX #29 with dictionaries for Chinese, Japanese, Thai and others, in NFC and
small letters. No peer has them. So each peer counts by one of two rules, and every result is
compared word by word:

* **runs**: runs of letters, marks and digits, in small letters. The simplest rule there is and the
  fastest for the peers, so the comparison with it favours them: `don't` and `3.14` are two words,
  Thai and Chinese are not divided. All peers must agree with each other; how many of *our* words
  (repetitions included) they find is in the table.
* **UAX #29**: our words exactly, as a regular expression. That can be had where text is in Latin
  letters and has no other marks than typographic quotes: `english`, `quotes` and `logs`. These
  rows must have the very counts that we have.

*our words*: equal to ours; *runs*: equal to the other peers' runs; *other runs*: not (DuckDB lowers
a few letters, such as `İ`, differently); equality is that of all words with their counts.
"""

COUNTING = """\
From a file to a list of words with counts, in a file. *`wordfreq migrate`* is the container's whole
work: it reads plan and source, writes counts sorted by count, ledger and receipt. *the counter
alone* does what the peers do. The peers need not sort.
"""

SAME = """\
**The same words** (UAX #29): the results must be equal.
"""

SIMPLER = """\
**A simpler rule** (runs), which is easier work: beside our first row, which has our words.
"""

NO_SAME = """\
No peer has these words: all of them count by **the simpler rule** (runs), which is easier work.
"""

EQUALITY = """\
## Equality with ICU

Our kernel, our path without the kernel (`WORDFREQ_ENGINE=icu`), and a separate program of 30 lines
over icu4py that imports nothing of this project
([`count_icu.py`](../benchmarks/peers/count_icu.py)), on pieces from all over each corpus: the
latter two are slow. Rates are MB per CPU second, start-up included.

"""

SMALL = """\
## Small files

We write one counts object for every file and a partial; the peers only one sum of all files. So
much of this is the file system's: making, writing and renaming ten thousand files. With the counts
on a RAM disk what is left of that is small.
"""

HUGE = """\
## One large file

Beside the peer that is the fastest on *english*.
"""

MONEY = """\
## In money: 1 TB of English

vCPU-hours from the CPU seconds on *english* with one thread, less those of start-up, which a long
run has once (last column): first ours, then the peers with the same words, then those with the
simpler rule. In US dollars at {price} a vCPU-hour (AWS Fargate's list price for Linux
on x86 in us-east-1, without memory), as a scale. A vCPU of EC2 is often half a core, so absolute
figures differ; ratios less.

"""

LIMITS = """\
## What the machine can do at all

On *english*, beside `wordfreq migrate` there. `wc -w` only counts blanks' ends; it keeps no words.
"""

MERGE = """\
## Merge

Adding up count files to totals sorted by count, then word. Ours reads its own counts objects
(`word:count`, highest count first), checks every line, and also makes the ranking; the peers get
the same as TSV, sorted by word. Many words: `--memory 1GiB` for us, seven eighths of that as
DuckDB's limit (its own accounting leaves some out); Polars and `sort` have no such setting for the
whole.
"""

S3 = """\
## Reading from S3

SeaweedFS on this machine, without TLS: server and client share the cores, so *MB per CPU s* of the
client is what carries over. Nothing is counted, but in the row that says so.
"""

FIXED = """\
## Fixed costs

"""

PIPELINE = """\
The whole job in Dagster, from `dg launch` to the ranking: listing, plan, counting and merge by the
embedded Batch, one materialization per file. Files of 10 KB, all new on a fresh instance; then
nothing new. PostgreSQL runs on this machine, with TLS, a password and a durable disk. *page* is how
long Chromium takes until the page of the partitions shows their number.

"""

PIPELINE_HEAD = (
    "files",
    "storage of events",
    "all new, s",
    "Dagster's own, ours = 1",
    "nothing new, s",
    "orchestrator, CPU s",
    "its peak MiB",
    "page, s",
)

STORES = {
    "sqlite": "**ours**, SQLite",
    "postgres": "**ours**, PostgreSQL",
    "sqlite-dagster": "Dagster's own, SQLite",
    "postgres-dagster": "Dagster's own, PostgreSQL",
}

PLAN = """\
## Plan of a very large bucket

The listing of the large bucket is simulated (made-up entries at the speed of a loop); the rest,
from comparing to writing, is the real code. The rate of a real listing is that of this machine's S3
server.

"""

TAIL = """\
## Again

`make bench` installs the peers into `.venv-bench` (2.5 GB; PySpark needs Java, e.g. Debian's
`default-jre-headless`) and takes 18 minutes; `make bench-pipeline` adds the whole
job in Dagster, up to 100,000 files, in about half an hour more. `make bench-quick` does everything
at small sizes in some minutes and writes below `.local/bench`. `BENCH_ARGS` are options of `python
-m benchmarks.bench`, such as `--resume` after an interruption, `--only count/logs`, `--rounds 5` or
`--set text=400MB`. `make bench-texts` unpacks Debian documentation (`apt-get download`; nothing is
installed) as further text.
"""
