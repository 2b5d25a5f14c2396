/* Allocations that fail, one after the other: that alone, or all from there on. They are caught by
 * the linker: see run.sh. And what both programs of it (memory_*.c) look at tables with. After each
 * failure nothing may break, whether the caller starts again or goes on; what had been counted is
 * there still, and started again the answer is the right one. Sanitizers watch the rest. */
#ifndef WORDFREQ_FAILING_H
#define WORDFREQ_FAILING_H

#include <stdarg.h>
#include <sys/mman.h>

#include "tables/cursor.h"

#include "fuzz.h"

enum { LARGE = 1 << 30 };

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

/* Says how many failed. Without an argument of the program each failed alone. */
static void report(void)
{
    printf("%lu allocations failed%s without a finding\n", failures,
           all_others ? " with all that follow" : "");
}

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

static size_t make_word(uint8_t *word, unsigned long number)
{
    static const size_t lengths[] = {1, 5, 8, 9, 16, 20, 32, 33, 60, 300};
    const size_t length = lengths[number % 10];
    memset(word, 'a' + (int)(number / 10 % 26), length);
    for (size_t i = 0; i < 8 && i < length; i++)
        word[i] = (uint8_t)('a' + (number / 10 >> (4 * i) & 15));
    return length;
}

#endif
