/* Has every allocation of scanner, table and merger fail, one after the other: that alone, or all
 * from there on. After each failure nothing may break, whether the caller starts again or goes on;
 * what had been counted is there still, and started again the answer is the right one. Sanitizers
 * watch the rest. Allocations are caught by the linker: see run.sh. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <sys/mman.h>

#include "../absorb.h"
#include "../batch.h"
#include "../merger.h"

#include "fuzz.h"
#include "stand_in.h"

enum { LARGE = 1 << 30 };

/* ---- allocations that fail ---- */

static long left = -1; /* that succeed; below 0: all */
static bool all_others;
static unsigned long failures;

static bool fails(void)
{
    if (left < 0 || left-- > 0)
        return false;
    left = all_others ? 0 : -1;
    failures++;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_mmap(void *at, size_t size, int protection, int flags, int file, off_t offset);
void *__real_mremap(void *memory, size_t old, size_t size, int flags, ...);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(at, size, protection, flags, file, offset);
}

void *__wrap_mremap(void *memory, size_t old, size_t size, int flags, ...)
{
    return fails() ? MAP_FAILED : __real_mremap(memory, old, size, flags);
}

/* Whether the allocation that was to fail has come. */
static bool failed(unsigned long before)
{
    const bool any = failures > before;
    left = -1;
    return any;
}

/* ---- tables ---- */

/* A table holds what it says: a sum that doesn't depend on the order. */
static uint64_t digest(struct table *table)
{
    struct cursor cursor;
    struct word word;
    uint64_t sum = 0, total = 0, distinct = 0;
    CHECK(cursor_start(&cursor, table, ANY_ORDER));
    while (cursor_next(&cursor, &word)) {
        uint64_t hash = word.length;
        for (size_t i = 0; i < word.length; i++)
            hash = (hash ^ word.bytes[i]) * 1099511628211u;
        sum += hash * word.count;
        total += word.count;
        distinct++;
    }
    CHECK(total == table->total && distinct == table_distinct(table));
    return sum;
}

/* A cursor that isn't said to be invalid reads every word once. */
static void check_cursor(struct cursor cursor, uint64_t changes)
{
    struct word word;
    uint64_t total = 0;
    if (cursor.table->changes != changes)
        return;
    while (cursor_next(&cursor, &word))
        total += word.count;
    CHECK(total == cursor.table->total);
}

static size_t make_word(uint8_t *word, unsigned long number)
{
    static const size_t lengths[] = {1, 5, 8, 9, 16, 20, 32, 33, 60, 300};
    const size_t length = lengths[number % 10];
    memset(word, 'a' + (int)(number / 10 % 26), length);
    for (size_t i = 0; i < 8 && i < length; i++)
        word[i] = (uint8_t)('a' + (number / 10 >> (4 * i) & 15));
    return length;
}

static const uint8_t LINES[] = "abc\t12\nabcdefghijk\t5\nabcdefghijklmnopqrstu\t1\n"
                               "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\t4\n";

static bool table_step(struct table *table, struct table *other, unsigned step,
                       struct cursor *cursor, uint64_t *changes)
{
    uint8_t word[512] = {0}, sorted[sizeof LINES];
    uint64_t keys[(3 + AHEAD) * WIDEST] = {0};
    size_t position = 0;
    struct cursor from;
    switch (step % 16) {
    case 12:
        for (unsigned i = 0; i < 3 * width_of(step / 16 % KINDS); i++)
            keys[i] = 0x6161616161616161 + step + i;
        return table_add_keys(table, step / 16 % KINDS, keys, 3);
    case 13:
        if (!cursor_start(cursor, table, step / 16 % 2 ? BY_COUNT : BY_WORD))
            return false;
        *changes = table->changes;
        return true;
    case 14:
        if (step / 16 % 2)
            return table_absorb(other, table) == TRANSFER_DONE;
        CHECK(cursor_start(&from, table, ANY_ORDER));
        return cursor_add_to(&from, other) == TRANSFER_DONE;
    case 15:
        if (step % 5 == 0)
            table_clear(table, step % 2);
        if (step % 7 == 0 && !table_expect_words(table, step % 11 + 1))
            return false;
        return lines_sort_by_count(LINES, sizeof LINES - 1, sorted) == LOAD_DONE &&
               lines_load(table, LINES, sizeof LINES - 1, &position, '\t', (struct share){0, 1}) ==
                   LOAD_DONE;
    default:
        return table_add(table, word, make_word(word, step * 7919UL), 1 + step % 3);
    }
}

static bool tables_with_failure(long at)
{
    const uint64_t key[2] = {1, 2};
    struct table table, other;
    struct cursor cursor = {0};
    uint64_t changes = 0;
    const unsigned long before = failures;
    left = at;
    if (!table_init(&table, key, LARGE))
        return failed(before);
    if (!table_init(&other, key, LARGE)) {
        table_free(&table);
        return failed(before);
    }
    table.threads = 2;
    other.threads = at % 4 ? 3 : 1;
    for (unsigned step = 0; step < 1500; step++) {
        const unsigned long so_far = failures;
        const bool several = step % 16 >= 14; /* some of it may have been done */
        const long was = left;
        left = -1;
        const uint64_t expected = failures > before || step % 64 == 0 ? digest(&table) : 0;
        left = was;
        const bool done = table_step(&table, &other, step, &cursor, &changes);
        CHECK(done || failures > so_far);
        if (failures == so_far)
            continue;
        left = -1;
        CHECK(done || several || !expected || digest(&table) == expected);
        digest(&table);
        digest(&other);
        if (cursor.table)
            check_cursor(cursor, changes);
    }
    left = -1;
    digest(&table);
    if (cursor.table)
        check_cursor(cursor, changes);
    CHECK(cursor_start(&cursor, &table, BY_COUNT));
    check_cursor(cursor, table.changes);
    table_free(&table);
    table_free(&other);
    return failed(before);
}

/* A cursor over a table of every size, while something else is done with that and fails. */
static void check_held_cursors(void)
{
    const uint64_t key[2] = {5, 6};
    uint8_t word[512];
    for (unsigned size = 1; size < 150; size++) {
        for (unsigned step = 0; step < 12; step++) {
            for (long at = 0; at < 8; at++) {
                struct table table;
                struct cursor cursor, other;
                CHECK(table_init(&table, key, LARGE));
                for (unsigned long number = 0; number < size; number++)
                    CHECK(table_add(&table, word, make_word(word, number * 7), 1));
                CHECK(cursor_start(&cursor, &table, BY_WORD));
                const uint64_t changes = table.changes;
                left = at;
                if (step >= 10)
                    cursor_start(&other, &table, step == 10 ? BY_COUNT : BY_WORD);
                else
                    table_add(&table, word, make_word(word, 100000 + step), 1);
                left = -1;
                check_cursor(cursor, changes);
                table_free(&table);
            }
        }
    }
}

/* ---- scanners ---- */

static uint8_t text[60000];
static size_t text_length;

static void write_text(void)
{
    static const char *const parts[] = {
        "na\xc3\xafve", "\xe6\x97\xa5\xe6\x9c\xac", "\xd0\xaf\xd0\xb7\xd1\x8b\xd0\xba",
        "x\xe2\x80\x99s", "\xf0\x9f\x98\x80", "e\xcc\x81", "\xff", "a:b", "3.14", "__",
    };
    uint8_t word[512];
    for (unsigned long number = 0; text_length < sizeof text - 20000; number++) {
        const size_t length = make_word(word, number * 31);
        const char *const part = parts[number % 10];
        memcpy(text + text_length, word, length);
        text_length += length;
        text[text_length++] = ' ';
        memcpy(text + text_length, part, strlen(part));
        text_length += strlen(part);
        memcpy(text + text_length, word, length % 11);
        text_length += length % 11;
        text[text_length++] = '\n';
    }
    for (unsigned i = 0; i < 9000; i++) /* a piece that is cut into windows */
        text[text_length++] = i % 3 ? (uint8_t)('a' + i % 26) : '.';
    text[text_length++] = ' ';
    for (unsigned i = 0; i < 3000; i++, text_length += 3) /* and one that only ICU can cut */
        memcpy(text + text_length, "\xe6\x97\xa5", 3);
}

static enum scan_result count_text(struct scanner *scanner)
{
    for (size_t done = 0, used; done < text_length; done += used) {
        const size_t chunk = done % 7 ? 5000 : 20000, rest = text_length - done;
        const enum scan_result result =
            scanner_feed(scanner, text + done, chunk < rest ? chunk : rest, &used);
        if (result != SCAN_DONE)
            return result;
    }
    return scanner_finish(scanner);
}

static uint64_t all_found(struct scanner *scanner)
{
    return digest(scanner->words) + 3 * digest(&scanner->pieces) + 7 * scanner->invalid +
           11 * scanner->foreign.length;
}

static bool scan_with_failure(long at, bool unicode, bool with_icu, uint64_t expected)
{
    const uint64_t key[2] = {3, 4};
    struct table words;
    const unsigned long before = failures;
    CHECK(table_init(&words, key, LARGE));
    left = at;
    struct icu *const icu = with_icu ? icu_new(&STAND_IN) : NULL;
    struct scanner *const scanner = icu || !with_icu ? scanner_new(&words, key, icu) : NULL;
    if (!scanner) {
        left = -1;
        if (icu)
            icu_free(icu);
        table_free(&words);
        return failed(before);
    }
    scanner->unicode = unicode;
    const enum scan_result result = count_text(scanner);
    CHECK(result != SCAN_FULL);
    if (result != SCAN_DONE) {
        size_t used;
        CHECK(failures > before);
        for (unsigned again = 0; again < 3; again++) { /* without a reset */
            CHECK(scanner_feed(scanner, text, text_length, &used) == result && !used);
            CHECK(scanner_finish(scanner) == result);
            left = -1;
            all_found(scanner);
        }
        table_clear(&words, at % 2);
        scanner->foreign.length = 0;
        scanner_reset(scanner);
        CHECK(count_text(scanner) == SCAN_DONE);
    }
    left = -1;
    /* Where ICU fails while a long piece is cut, its text is left to the caller. */
    CHECK(all_found(scanner) == expected || (with_icu && scanner->foreign.length));
    scanner_free(scanner);
    table_free(&words);
    return failed(before);
}

static uint64_t scan(bool unicode, bool with_icu)
{
    const uint64_t key[2] = {3, 4};
    struct table words;
    CHECK(table_init(&words, key, LARGE));
    struct scanner *const scanner =
        scanner_new(&words, key, with_icu ? icu_new(&STAND_IN) : NULL);
    scanner->unicode = unicode;
    CHECK(count_text(scanner) == SCAN_DONE);
    const uint64_t found = all_found(scanner);
    scanner_free(scanner);
    table_free(&words);
    return found;
}

/* ---- many texts ---- */

enum { TEXTS = 12 };

/* The sum of what is said of each text, and of the words of all. */
static uint64_t batch(struct scanner *scanner, struct table *total, bool *all)
{
    struct batch_text texts[TEXTS] = {{0}};
    uint64_t sum = 0;
    size_t done;
    for (size_t i = 0; i < TEXTS; i++)
        texts[i] = (struct batch_text){.bytes = text + 997 * i, .length = 100 * i};
    *all = batch_count(scanner, texts, TEXTS, ':', total, &done) && done == TEXTS;
    for (size_t i = 0; i < TEXTS; i++) {
        for (size_t at = 0; at < texts[i].lines.length; at++)
            sum = sum * 31 + texts[i].lines.bytes[at];
        sum += texts[i].words + 3 * texts[i].distinct + 5 * texts[i].invalid;
        free(texts[i].lines.bytes);
    }
    CHECK(!table_distinct(scanner->words) && !scanner->filled);
    return sum + digest(total);
}

static bool batch_with_failure(long at, uint64_t *expected)
{
    const uint64_t key[2] = {7, 8};
    struct table words, total;
    const unsigned long before = failures;
    bool all;
    CHECK(table_init(&words, key, LARGE) && table_init(&total, key, LARGE));
    struct scanner *const scanner = scanner_new(&words, key, icu_new(&STAND_IN));
    CHECK(scanner);
    scanner->unicode = true;
    left = at;
    uint64_t found = batch(scanner, &total, &all);
    left = -1;
    if (!all) {
        CHECK(failures > before);
        table_clear(&total, false);
        found = batch(scanner, &total, &all);
    }
    CHECK(all && (!*expected || found == *expected));
    *expected = found;
    scanner_free(scanner);
    table_free(&words);
    table_free(&total);
    return failed(before);
}

/* ---- merging ---- */

enum { INPUTS = 3, OUTPUTS = 4, MERGED = 1 << 16 };

static uint8_t inputs[INPUTS][1 << 14];
static size_t input_lengths[INPUTS];

static void write_inputs(void)
{
    for (unsigned input = 0; input < INPUTS; input++)
        for (unsigned number = input; number < 600; number += 1 + input) {
            char *const line = (char *)inputs[input] + input_lengths[input];
            input_lengths[input] += (size_t)sprintf(line, "w%04u%.*s\t%u\n", number,
                                                    (int)(number % 7), "xxxxxxx", 1 + number % 5);
        }
}

/* Merges all; what fails is tried again. Returns the length of the output. */
static size_t merge(uint8_t *out)
{
    struct merger merger;
    size_t fed[INPUTS] = {0}, length = 0;
    while (!merger_init(&merger, INPUTS, OUTPUTS, false, (struct share){0, 1}))
        left = -1;
    for (;;) {
        const enum merge_state state = merger_run(&merger, 500);
        if (state == MERGE_NO_MEMORY) {
            left = -1;
        } else if (state == MERGE_HUNGRY) {
            const size_t at = merger.at, rest = input_lengths[at] - fed[at];
            const size_t chunk = rest < 700 ? rest : 700;
            if (merger_feed(&merger, at, inputs[at] + fed[at], chunk))
                fed[at] += chunk;
            else
                left = -1;
        } else {
            CHECK(state == MERGE_READY || state == MERGE_DONE);
            for (size_t i = 0; i < OUTPUTS; i++) {
                CHECK(length + merger.outputs[i].finished <= MERGED);
                if (merger.outputs[i].finished)
                    memcpy(out + length, merger.outputs[i].bytes, merger.outputs[i].finished);
                length += merger.outputs[i].finished;
            }
            merger_taken(&merger);
            if (state == MERGE_DONE)
                break;
        }
    }
    merger_free(&merger);
    return length;
}

static bool merge_with_failure(long at, const uint8_t *expected, size_t length)
{
    static uint8_t out[MERGED];
    const unsigned long before = failures;
    left = at;
    CHECK(merge(out) == length && memcmp(out, expected, length) == 0);
    return failed(before);
}

/* Without an argument each allocation fails alone, with one it and all that follow. */
int main(int argc, char **argv)
{
    (void)argv;
    all_others = argc > 1;
    static uint8_t merged[MERGED];
    long at = 0;
    write_text();
    write_inputs();
    const size_t length = merge(merged);
    for (at = 0; tables_with_failure(at); at++)
        ;
    CHECK(at > 50);
    check_held_cursors();
    for (unsigned kind = 0; kind < 4; kind++) {
        const bool unicode = kind & 1, with_icu = kind & 2;
        const uint64_t expected = scan(unicode, with_icu);
        for (at = 0; scan_with_failure(at, unicode, with_icu, expected); at++)
            ;
        CHECK(at > 50);
    }
    uint64_t expected = 0;
    CHECK(!batch_with_failure(-1, &expected));
    for (at = 0; batch_with_failure(at, &expected); at++)
        ;
    CHECK(at > 50);
    for (at = 0; merge_with_failure(at, merged, length); at++)
        ;
    CHECK(at > 5);
    printf("%lu allocations failed%s without a finding\n", failures,
           all_others ? " with all that follow" : "");
    return 0;
}
