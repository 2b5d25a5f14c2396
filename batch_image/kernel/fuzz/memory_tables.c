/* Tables and the merger, each of whose allocations fails: see failing.h. */
#define _GNU_SOURCE
#include "merge/merger.h"
#include "tables/absorb.h"

#include "failing.h"

/* ---- tables ---- */

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

int main(int argc, char **argv)
{
    (void)argv;
    all_others = argc > 1;
    static uint8_t merged[MERGED];
    long at = 0;
    write_inputs();
    const size_t length = merge(merged);
    for (at = 0; tables_with_failure(at); at++)
        ;
    CHECK(at > 50);
    check_held_cursors();
    for (at = 0; merge_with_failure(at, merged, length); at++)
        ;
    CHECK(at > 5);
    report();
    return 0;
}
