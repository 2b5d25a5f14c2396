#include "tables/entries.h"

#include <stdbool.h>
#include <string.h>

enum { FEW_ENTRIES = 24, MANY_ENTRIES = 2048 };

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
