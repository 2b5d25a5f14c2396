/* table_entries and table_sorted: see table.h. */
#include <stdlib.h>
#include <string.h>

#include "table.h"

enum { FEW_ENTRIES = 24, MANY_ENTRIES = 2048 };

/* The same bytes, the first the highest. */
static uint64_t swap_bytes(uint64_t value)
{
    uint64_t swapped = 0;
    for (unsigned i = 0; i < 64; i += 8) /* compilers make one instruction of this */
        swapped |= (value >> i & 0xFF) << (56 - i);
    return swapped;
}

/* Bytes 8 * depth to 8 * depth + 7 of a word, the first the highest, zeros behind its end. */
static uint64_t sort_key(const struct table *table, uint64_t reference, size_t depth)
{
    const size_t slot = (size_t)(reference >> 2);
    if ((reference & 3) == IN_SLOTS8)
        return depth ? 0 : swap_bytes(table->slots8[slot].word);
    if ((reference & 3) == IN_SLOTS16)
        return depth < 2 ? swap_bytes(table->slots16[slot].word[depth]) : 0;
    const struct long_slot *const found = &table->long_slots[slot];
    const uint8_t *const word = table->bytes + found->offset;
    if (8 * depth + 8 <= found->length)
        return swap_bytes(load64(word + 8 * depth));
    uint64_t key = 0;
    for (size_t i = 8 * depth; i < 8 * depth + 8; i++)
        key = key << 8 | (i < found->length ? word[i] : 0);
    return key;
}

static size_t length_of(const struct table *table, uint64_t reference)
{
    uint8_t buffer[16];
    size_t length;
    uint64_t count;
    table_word(table, reference, buffer, &length, &count);
    return length;
}

static void insertion_sort(struct entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct entry moved = entries[i];
        size_t j = i;
        for (; j && entries[j - 1].key > moved.key; j--)
            entries[j] = entries[j - 1];
        entries[j] = moved;
    }
}

static void merge_sort(struct entry *entries, struct entry *scratch, size_t count)
{
    for (size_t start = 0; start < count; start += FEW_ENTRIES)
        insertion_sort(entries + start, count - start < FEW_ENTRIES ? count - start : FEW_ENTRIES);
    for (size_t width = FEW_ENTRIES; width < count; width *= 2) {
        for (size_t start = 0; start + width < count; start += 2 * width) {
            const size_t end = count - start < 2 * width ? count : start + 2 * width;
            size_t left = 0, right = start + width;
            memcpy(scratch, entries + start, width * sizeof *entries);
            for (size_t out = start; left < width; out++) {
                const bool from_right = right < end && entries[right].key < scratch[left].key;
                entries[out] = from_right ? entries[right++] : scratch[left++];
            }
        }
    }
}

static void radix_sort(struct entry *entries, struct entry *scratch, size_t count)
{
    struct entry *from = entries, *to = scratch;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        size_t starts[257] = {0};
        for (size_t i = 0; i < count; i++)
            starts[1 + (from[i].key >> shift & 255)]++;
        if (starts[1 + (from[0].key >> shift & 255)] == count)
            continue; /* all the same */
        for (unsigned digit = 0; digit < 256; digit++)
            starts[digit + 1] += starts[digit];
        for (size_t i = 0; i < count; i++)
            to[starts[from[i].key >> shift & 255]++] = from[i];
        struct entry *const sorted = to;
        to = from;
        from = sorted;
    }
    if (from != entries)
        memcpy(entries, from, count * sizeof *entries);
}

void sort_entries(struct entry *entries, struct entry *scratch, size_t count)
{
    if (count <= FEW_ENTRIES)
        insertion_sort(entries, count);
    else if (count < MANY_ENTRIES)
        merge_sort(entries, scratch, count);
    else
        radix_sort(entries, scratch, count);
}

/* Puts the words that end within these 8 bytes first, the shorter ones before; as they are equal
 * but for zero bytes at their ends, they are few. Returns how many. */
static size_t ended_first(const struct table *table, struct entry *entries, size_t count,
                          size_t depth)
{
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t length = length_of(table, entries[i].reference);
        if (length > 8 * (depth + 1))
            continue;
        const struct entry moved = entries[i];
        entries[i] = entries[ended];
        size_t j = ended++;
        for (; j && length_of(table, entries[j - 1].reference) > length; j--)
            entries[j] = entries[j - 1];
        entries[j] = moved;
    }
    return ended;
}

struct range {
    size_t start, count, depth;
};

struct ranges {
    struct range *items;
    size_t count, size;
};

static bool push(struct ranges *ranges, struct range range)
{
    if (ranges->count == ranges->size) {
        const size_t size = ranges->size ? 2 * ranges->size : 64;
        struct range *const items = realloc(ranges->items, size * sizeof *items);
        if (!items)
            return false;
        ranges->items = items;
        ranges->size = size;
    }
    ranges->items[ranges->count++] = range;
    return true;
}

/* Sorts by 8 bytes of the words, then those that agree in them by the next 8, and so on: no byte
 * is looked at twice, whatever the words have in common. */
static bool sort_words(const struct table *table, struct entry *entries, struct entry *scratch,
                       size_t count)
{
    struct ranges ranges = {0};
    bool done = push(&ranges, (struct range){0, count, 0});
    while (done && ranges.count) {
        const struct range range = ranges.items[--ranges.count];
        struct entry *const first = entries + range.start;
        for (size_t i = 0; i < range.count; i++)
            first[i].key = sort_key(table, first[i].reference, range.depth);
        sort_entries(first, scratch, range.count);
        for (size_t start = 0, end; done && start < range.count; start = end) {
            for (end = start + 1; end < range.count && first[end].key == first[start].key;)
                end++;
            if (end - start == 1)
                continue;
            const size_t ended = ended_first(table, first + start, end - start, range.depth);
            if (end - start - ended > 1)
                done = push(&ranges, (struct range){range.start + start + ended,
                                                    end - start - ended, range.depth + 1});
        }
    }
    free(ranges.items);
    return done;
}

struct entry *table_entries(const struct table *table)
{
    struct entry *const entries = malloc((table_distinct(table) + 1) * sizeof *entries);
    struct entry *next = entries;
    if (!entries)
        return NULL;
    for (size_t i = 0; i <= table->mask8; i++)
        if (table->slots8[i].count)
            (next++)->reference = (uint64_t)i << 2 | IN_SLOTS8;
    for (size_t i = 0; i <= table->mask16; i++)
        if (table->slots16[i].count)
            (next++)->reference = (uint64_t)i << 2 | IN_SLOTS16;
    for (size_t i = 0; i <= table->long_mask; i++)
        if (table->long_slots[i].count)
            (next++)->reference = (uint64_t)i << 2 | IN_LONG_SLOTS;
    return entries;
}

struct entry *table_sorted(const struct table *table, bool by_count)
{
    const size_t count = table_distinct(table);
    struct entry *const entries = table_entries(table);
    struct entry *const scratch = malloc((count + 1) * sizeof *scratch);
    const bool done = entries && scratch && sort_words(table, entries, scratch, count);
    if (done && by_count && count) {
        for (size_t i = 0; i < count; i++) {
            uint8_t buffer[16];
            size_t length;
            uint64_t times;
            table_word(table, entries[i].reference, buffer, &length, &times);
            entries[i].key = ~times;
        }
        sort_entries(entries, scratch, count);
    }
    free(scratch);
    if (done)
        return entries;
    free(entries);
    return NULL;
}
