#define _DEFAULT_SOURCE /* madvise */
#include "table.h"

#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#ifdef SMALL_TABLES /* so that a fuzzer sees them grow */
enum { FIRST_SLOTS8 = 4, FIRST_SLOTS16 = 4, FIRST_LONG_SLOTS = 2, FIRST_BYTES = 16 };
#else
enum { FIRST_SLOTS8 = 1 << 12, FIRST_SLOTS16 = 1 << 10, FIRST_LONG_SLOTS = 1 << 8 };
enum { FIRST_BYTES = 1 << 12 };
#endif
enum { KEPT_SIZE = 8 << 20 }; /* bytes that table_clear doesn't give back */
enum { HUGE_PAGE = 2 << 20 };
/* Two arrays of entries (table_sorted). */
enum { SORTING_BYTES = 2 * sizeof(struct entry) };

/* Zeroed memory for `count` items; large tables get huge pages where the system has them. */
static void *allocate(size_t count, size_t size)
{
    void *const memory = calloc(count, size);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (memory && count * size >= 2 * HUGE_PAGE) {
        const uintptr_t start = ((uintptr_t)memory + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        const uintptr_t end = ((uintptr_t)memory + count * size) / HUGE_PAGE * HUGE_PAGE;
        madvise((void *)start, end - start, MADV_HUGEPAGE);
    }
#endif
    return memory;
}

bool table_init(struct table *table, const uint64_t key[2], size_t memory)
{
    *table = (struct table){.key = {key[0], key[1] | 1}, .memory = memory};
    table->slots8 = allocate(FIRST_SLOTS8, sizeof *table->slots8);
    table->slots16 = allocate(FIRST_SLOTS16, sizeof *table->slots16);
    table->long_slots = allocate(FIRST_LONG_SLOTS, sizeof *table->long_slots);
    table->bytes = malloc(FIRST_BYTES);
    if (!table->slots8 || !table->slots16 || !table->long_slots || !table->bytes) {
        table_free(table);
        return false;
    }
    table->mask8 = FIRST_SLOTS8 - 1;
    table->mask16 = FIRST_SLOTS16 - 1;
    table->long_mask = FIRST_LONG_SLOTS - 1;
    table->bytes_size = FIRST_BYTES;
    return true;
}

void table_free(struct table *table)
{
    free(table->slots8);
    free(table->slots16);
    free(table->long_slots);
    free(table->bytes);
    *table = (struct table){.changes = table->changes + 1};
}

static size_t slots_size(const struct table *table)
{
    return (table->mask8 + 1) * sizeof *table->slots8 +
           (table->mask16 + 1) * sizeof *table->slots16 +
           (table->long_mask + 1) * sizeof *table->long_slots + table->bytes_size;
}

bool table_clear(struct table *table)
{
    if (slots_size(table) > KEPT_SIZE || slots_size(table) > table->memory / 4) {
        struct table fresh;
        if (!table_init(&fresh, table->key, table->memory))
            return false;
        fresh.changes = table->changes + 1;
        table_free(table);
        *table = fresh;
        return true;
    }
    memset(table->slots8, 0, (table->mask8 + 1) * sizeof *table->slots8);
    memset(table->slots16, 0, (table->mask16 + 1) * sizeof *table->slots16);
    memset(table->long_slots, 0, (table->long_mask + 1) * sizeof *table->long_slots);
    table->used8 = table->used16 = table->long_used = table->bytes_used = 0;
    table->total = 0;
    table->changes++;
    return true;
}

size_t table_distinct(const struct table *table)
{
    return table->used8 + table->used16 + table->long_used;
}

/* Slots that hold `used` words with at least half of them empty. */
static size_t slots_for(size_t slots, size_t used)
{
    while (used > slots / 2)
        slots *= 2;
    return slots;
}

bool table_is_full(const struct table *table)
{
    const size_t distinct = table_distinct(table);
    const size_t slots8 = slots_for(table->mask8 + 1, table->used8 + TABLE_STEP / 2);
    const size_t slots16 = slots_for(table->mask16 + 1, table->used16 + TABLE_STEP / 9);
    const size_t long_slots = slots_for(table->long_mask + 1, table->long_used + TABLE_STEP / 17);
    size_t size = slots_size(table) + (distinct + TABLE_STEP / 2) * SORTING_BYTES;
    /* While a part grows, its old one is still there. */
    if (slots8 > table->mask8 + 1)
        size += slots8 * sizeof *table->slots8;
    if (slots16 > table->mask16 + 1)
        size += slots16 * sizeof *table->slots16;
    if (long_slots > table->long_mask + 1)
        size += long_slots * sizeof *table->long_slots;
    if (table->bytes_used + TABLE_STEP > table->bytes_size)
        size += 2 * table->bytes_size;
    return distinct && size > table->memory;
}

/* ---- adding ---- */

static uint64_t load_rest(const uint8_t *bytes, size_t length)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static uint64_t long_hash(const struct table *table, const uint8_t *word, size_t length)
{
    uint64_t hash = table->key[0] ^ length;
    for (; length >= 8; word += 8, length -= 8)
        hash = fold_multiply(hash ^ load64(word), table->key[1]);
    return fold_multiply(hash ^ load_rest(word, length), table->key[1]);
}

static bool reserve8(struct table *table, size_t count)
{
    const size_t old = table->mask8 + 1, slots = slots_for(old, table->used8 + count);
    if (slots == old)
        return true;
    struct slot8 *const grown = allocate(slots, sizeof *grown);
    if (!grown)
        return false;
    for (size_t i = 0; i < old; i++) {
        const struct slot8 slot = table->slots8[i];
        if (!slot.count)
            continue;
        size_t j = (size_t)table_hash8(table, slot.word) & (slots - 1);
        while (grown[j].count)
            j = (j + 1) & (slots - 1);
        grown[j] = slot;
    }
    free(table->slots8);
    table->slots8 = grown;
    table->mask8 = slots - 1;
    return true;
}

static bool reserve16(struct table *table, size_t count)
{
    const size_t old = table->mask16 + 1, slots = slots_for(old, table->used16 + count);
    if (slots == old)
        return true;
    struct slot16 *const grown = allocate(slots, sizeof *grown);
    if (!grown)
        return false;
    for (size_t i = 0; i < old; i++) {
        const struct slot16 slot = table->slots16[i];
        if (!slot.count)
            continue;
        size_t j = (size_t)table_hash16(table, slot.word[0], slot.word[1]) & (slots - 1);
        while (grown[j].count)
            j = (j + 1) & (slots - 1);
        grown[j] = slot;
    }
    free(table->slots16);
    table->slots16 = grown;
    table->mask16 = slots - 1;
    return true;
}

bool table_reserve(struct table *table, size_t count8, size_t count16)
{
    return reserve8(table, count8) && reserve16(table, count16);
}

static bool reserve_long(struct table *table, size_t length)
{
    const size_t old = table->long_mask + 1, slots = slots_for(old, table->long_used + 1);
    if (slots > old) {
        struct long_slot *const grown = allocate(slots, sizeof *grown);
        if (!grown)
            return false;
        for (size_t i = 0; i < old; i++) {
            if (!table->long_slots[i].count)
                continue;
            size_t j = (size_t)table->long_slots[i].hash & (slots - 1);
            while (grown[j].count)
                j = (j + 1) & (slots - 1);
            grown[j] = table->long_slots[i];
        }
        free(table->long_slots);
        table->long_slots = grown;
        table->long_mask = slots - 1;
    }
    size_t size = table->bytes_size;
    while (size - table->bytes_used < length)
        size *= 2;
    if (size > table->bytes_size) {
        uint8_t *const bytes = realloc(table->bytes, size);
        if (!bytes)
            return false;
        table->bytes = bytes;
        table->bytes_size = size;
    }
    return true;
}

static bool add8(struct table *table, uint64_t word, uint64_t count)
{
    if (!reserve8(table, 1))
        return false;
    size_t i = (size_t)table_hash8(table, word) & table->mask8;
    while (table->slots8[i].count && table->slots8[i].word != word)
        i = (i + 1) & table->mask8;
    if (!table->slots8[i].count)
        table->used8++;
    table->slots8[i].word = word;
    table->slots8[i].count += count;
    return true;
}

static bool add16(struct table *table, uint64_t first, uint64_t second, uint64_t count)
{
    if (!reserve16(table, 1))
        return false;
    size_t i = (size_t)table_hash16(table, first, second) & table->mask16;
    struct slot16 *slot = &table->slots16[i];
    while (slot->count && (slot->word[0] != first || slot->word[1] != second)) {
        i = (i + 1) & table->mask16;
        slot = &table->slots16[i];
    }
    if (!slot->count)
        table->used16++;
    slot->word[0] = first;
    slot->word[1] = second;
    slot->count += count;
    return true;
}

static bool add_long(struct table *table, const uint8_t *word, size_t length, uint64_t count)
{
    if (!reserve_long(table, length))
        return false;
    const uint64_t hash = long_hash(table, word, length);
    size_t i = (size_t)hash & table->long_mask;
    for (;; i = (i + 1) & table->long_mask) {
        struct long_slot *const slot = &table->long_slots[i];
        if (!slot->count)
            break;
        if (slot->hash == hash && slot->length == length &&
            memcmp(table->bytes + slot->offset, word, length) == 0) {
            slot->count += count;
            return true;
        }
    }
    memcpy(table->bytes + table->bytes_used, word, length);
    table->long_slots[i] = (struct long_slot){
        .hash = hash, .offset = table->bytes_used, .count = count, .length = (uint32_t)length};
    table->bytes_used += length;
    table->long_used++;
    return true;
}

bool table_add(struct table *table, const uint8_t *word, size_t length, uint64_t count)
{
    bool added;
    if (!count)
        return true;
    if (!length || length > 16 || memchr(word, 0, length))
        added = add_long(table, word, length, count);
    else if (length <= 8)
        added = add8(table, load_rest(word, length), count);
    else
        added = add16(table, load64(word), load_rest(word + 8, length - 8), count);
    if (added) {
        table->total += count;
        table->changes++;
    }
    return added;
}

bool table_add_entry(struct table *table, const struct table *from, uint64_t reference)
{
    const size_t slot = (size_t)(reference >> 2);
    uint64_t count;
    bool added;
    if ((reference & 3) == IN_SLOTS8) {
        count = from->slots8[slot].count;
        added = add8(table, from->slots8[slot].word, count);
    } else if ((reference & 3) == IN_SLOTS16) {
        const uint64_t *const word = from->slots16[slot].word;
        count = from->slots16[slot].count;
        added = add16(table, word[0], word[1], count);
    } else {
        const struct long_slot *const found = &from->long_slots[slot];
        count = found->count;
        added = add_long(table, from->bytes + found->offset, found->length, count);
    }
    if (added) {
        table->total += count;
        table->changes++;
    }
    return added;
}

/* ---- reading ---- */

static size_t word_length(uint64_t word)
{
    size_t length = 0;
    for (; word; word >>= 8)
        length++;
    return length;
}

static void store64(uint8_t *bytes, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

const uint8_t *table_word(const struct table *table, uint64_t reference, uint8_t buffer[16],
                          size_t *length, uint64_t *count)
{
    const size_t slot = (size_t)(reference >> 2);
    switch (reference & 3) {
    case IN_SLOTS8:
        store64(buffer, table->slots8[slot].word);
        *length = word_length(table->slots8[slot].word);
        *count = table->slots8[slot].count;
        return buffer;
    case IN_SLOTS16:
        store64(buffer, table->slots16[slot].word[0]);
        store64(buffer + 8, table->slots16[slot].word[1]);
        *length = 8 + word_length(table->slots16[slot].word[1]);
        *count = table->slots16[slot].count;
        return buffer;
    default:
        *length = table->long_slots[slot].length;
        *count = table->long_slots[slot].count;
        return table->bytes + table->long_slots[slot].offset;
    }
}
