#include "tables/sort.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/crew.h"

enum { FEW_SLOTS = 48 };

/* ---- long words, as entries ---- */

/* Bytes 8 * depth to 8 * depth + 7 of a word, the first the highest, zeros behind its end. */
static uint64_t sort_key(const struct table *table, uint64_t reference, size_t depth)
{
    const struct long_slot *const slot = &table->long_slots[reference];
    const uint8_t *const word = table->bytes + slot->offset;
    if (8 * depth + 8 <= slot->length)
        return swap_bytes(load64(word + 8 * depth));
    uint64_t key = 0;
    for (size_t i = 8 * depth; i < 8 * depth + 8; i++)
        key = key << 8 | (i < slot->length ? word[i] : 0);
    return key;
}

static size_t length_of(const struct table *table, uint64_t reference)
{
    return table->long_slots[reference].length;
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

static bool sort_long(struct table *table, enum order order)
{
    const size_t count = table->long_used;
    free(table->long_order);
    table->long_order = NULL;
    if (!count)
        return true;
    struct entry *const entries = malloc(count * sizeof *entries);
    struct entry *const scratch = malloc(count * sizeof *scratch);
    size_t found = 0;
    for (size_t i = 0; entries && i <= table->long_mask; i++)
        if (table->long_slots[i].count)
            entries[found++].reference = i;
    const bool done = entries && scratch && sort_words(table, entries, scratch, count);
    if (done && order == BY_COUNT) {
        for (size_t i = 0; i < count; i++)
            entries[i].key = ~table->long_slots[entries[i].reference].count;
        sort_entries(entries, scratch, count);
    }
    free(scratch);
    if (done)
        table->long_order = entries;
    else
        free(entries);
    return done;
}

/* ---- keyed slots, in place: 1, 2 or 4 numbers that are a word, and its count ---- */

INLINE bool is_before(const uint64_t *a, const uint64_t *b, unsigned width, bool by_count)
{
    if (by_count && a[width] != b[width])
        return a[width] > b[width];
    for (unsigned i = 0; i + 1 < width; i++)
        if (a[i] != b[i])
            return swap_bytes(a[i]) < swap_bytes(b[i]);
    return swap_bytes(a[width - 1]) < swap_bytes(b[width - 1]);
}

INLINE void copy_slot(uint64_t *to, const uint64_t *from, unsigned width)
{
    for (unsigned i = 0; i <= width; i++)
        to[i] = from[i];
}

INLINE void sort_few(uint64_t *slots, size_t count, unsigned width, bool by_count)
{
    for (size_t i = 1; i < count; i++) {
        uint64_t moved[WIDEST + 1];
        uint64_t *at = slots + i * (width + 1);
        if (!is_before(at, at - width - 1, width, by_count))
            continue;
        copy_slot(moved, at, width);
        do {
            copy_slot(at, at - width - 1, width);
            at -= width + 1;
        } while (at > slots && is_before(moved, at - width - 1, width, by_count));
        copy_slot(at, moved, width);
    }
}

/* Sorts slots that agree in the digits before `depth`: 8 bytes of ~count, then the word's. */
typedef void slot_sorter(uint64_t *slots, size_t count, unsigned depth, bool by_count);

/* Distributes the slots by one digit, in place, and has each part sorted by the rest. */
INLINE void sort_slots(uint64_t *slots, size_t count, unsigned depth, bool by_count,
                       unsigned width, slot_sorter *sort_parts)
{
    const unsigned size = width + 1;
    size_t next[256], ends[256];
    unsigned number, shift; /* where the digit is */
    uint64_t flip;
    if (count <= FEW_SLOTS) {
        sort_few(slots, count, width, by_count);
        return;
    }
    do {
        number = depth < 8 ? width : depth / 8 - 1;
        shift = depth < 8 ? 56 - 8 * depth : depth % 8 * 8;
        flip = depth < 8 ? ~(uint64_t)0 : 0;
        memset(ends, 0, sizeof ends);
        for (size_t i = 0; i < count; i++)
            ends[(slots[i * size + number] ^ flip) >> shift & 255]++;
        depth++;
    } while (ends[(slots[number] ^ flip) >> shift & 255] == count); /* all the same */
    for (size_t digit = 0, start = 0; digit < 256; digit++) {
        next[digit] = start;
        ends[digit] = start += ends[digit];
    }
    /* Every slot is brought where its part goes on, and what was there into its place, for the next
     * round: following each to its end would have to wait for the memory at every step. */
    for (bool done = false; !done;) {
        done = true;
        for (size_t digit = 0; digit < 256; digit++) {
            for (size_t i = next[digit], end = ends[digit]; i < end; i++) {
                uint64_t *const slot = slots + i * size;
                uint64_t *const right =
                    slots + next[(slot[number] ^ flip) >> shift & 255]++ * size;
                uint64_t moved[WIDEST + 1];
                copy_slot(moved, right, width);
                copy_slot(right, slot, width);
                copy_slot(slot, moved, width);
            }
            done &= next[digit] == ends[digit];
        }
    }
    for (size_t digit = 0, start = 0; digit < 256; start = ends[digit++])
        if (ends[digit] - start > 1)
            sort_parts(slots + start * size, ends[digit] - start, depth, by_count);
}

static void sort_slots1(uint64_t *slots, size_t count, unsigned depth, bool by_count)
{
    sort_slots(slots, count, depth, by_count, 1, sort_slots1);
}

static void sort_slots2(uint64_t *slots, size_t count, unsigned depth, bool by_count)
{
    sort_slots(slots, count, depth, by_count, 2, sort_slots2);
}

static void sort_slots4(uint64_t *slots, size_t count, unsigned depth, bool by_count)
{
    sort_slots(slots, count, depth, by_count, 4, sort_slots4);
}

/* Moves the slots in use to the front: those that count 1, which most do, last if they are `apart`.
 * Returns the highest count. */
INLINE uint64_t list_slots(struct keyed *keyed, unsigned width, bool apart, size_t *others)
{
    const size_t size = width + 1, slots = keyed->listed ? keyed->used : keyed->mask + 1;
    uint64_t *to = keyed->slots, *single = keyed->slots, highest = 0;
    for (size_t i = 0; i < slots; i++) {
        uint64_t slot[WIDEST + 1];
        copy_slot(slot, keyed->slots + i * size, width);
        if (!slot[0])
            continue;
        highest = slot[width] > highest ? slot[width] : highest;
        if (apart && slot[width] > 1) { /* takes the place of the first single one */
            copy_slot(to, single, width);
            copy_slot(single, slot, width);
            single += size;
        } else {
            copy_slot(to, slot, width);
        }
        to += size;
    }
    keyed->listed = true;
    *others = (size_t)(single - keyed->slots) / size;
    return highest;
}

/* ---- all of a table, by several threads ---- */

enum { LISTS = KINDS + 1, RANGES = 2 * KINDS };

struct sorting {
    struct table *table;
    enum order order;
    unsigned threads;
    atomic_uint next; /* range to be sorted */
    size_t others[KINDS]; /* keyed slots in front that count more than 1 */
    uint64_t highest[KINDS];
    bool long_sorted;
};

/* Lists one kind of words; the long ones are sorted then. */
static void list_kind(struct sorting *this, unsigned kind)
{
    const bool apart = this->order == BY_COUNT;
    struct keyed *const keyed = &this->table->keyed[kind];
    size_t *const others = &this->others[kind];
    if (kind == KINDS)
        this->long_sorted = sort_long(this->table, this->order);
    else if (!keyed->used)
        return;
    else if (kind == 0)
        this->highest[kind] = list_slots(keyed, 1, apart, others);
    else if (kind == 1)
        this->highest[kind] = list_slots(keyed, 2, apart, others);
    else
        this->highest[kind] = list_slots(keyed, 4, apart, others);
}

/* Sorts the words of a kind that count more than 1, or those that count 1 (or all, by word). */
static void sort_range(struct sorting *this, unsigned kind, bool single)
{
    static slot_sorter *const sorters[KINDS] = {sort_slots1, sort_slots2, sort_slots4};
    const struct keyed *const keyed = &this->table->keyed[kind];
    const size_t others = this->others[kind];
    if (single)
        sorters[kind](keyed->slots + others * (width_of(kind) + 1), keyed->used - others, 8, false);
    else if (others) /* digits that are 0 in all counts aren't looked at */
        sorters[kind](keyed->slots, others, 7 - highest_bit(this->highest[kind]) / 8, true);
}

static void list_share(void *context, unsigned number)
{
    struct sorting *const this = context;
    for (unsigned kind = number; kind < LISTS; kind += this->threads)
        list_kind(this, kind);
}

static void sort_share(void *context, unsigned number)
{
    struct sorting *const this = context;
    (void)number;
    for (unsigned range; (range = atomic_fetch_add(&this->next, 1)) < RANGES;)
        sort_range(this, range % KINDS, range < KINDS);
}

bool table_sort(struct table *table, enum order order)
{
    struct sorting this = {.table = table, .order = order};
    this.threads = table_threads(table, table_distinct(table));
    table->changes++;
    side_by_side(list_share, &this, this.threads);
    if (!this.long_sorted)
        return false;
    side_by_side(sort_share, &this, this.threads);
    return true;
}
