#include "tables/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/crew.h"
#include "base/hash.h"
#include "base/memory.h"

#ifdef SMALL_TABLES /* so that a fuzzer sees them grow */
static const size_t FIRST_SLOTS[KINDS] = {4, 4, 4};
enum { FIRST_LONG_SLOTS = 2, FIRST_BYTES = 16, WORTHWHILE = 1 };
#else
static const size_t FIRST_SLOTS[KINDS] = {1 << 11, 1 << 9, 1 << 8};
enum { FIRST_LONG_SLOTS = 1 << 7, FIRST_BYTES = 1 << 12, WORTHWHILE = 1 << 15 };
#endif
enum { KEPT_SIZE = 8 << 20 }; /* bytes that table_clear doesn't give back */

static size_t slot_bytes(unsigned kind)
{
    return (width_of(kind) + 1) * sizeof(uint64_t);
}

bool table_init(struct table *table, const uint64_t key[2], size_t memory)
{
    bool done = true;
    *table = (struct table){.key = {key[0], key[1] | 1}, .memory = memory};
    for (unsigned kind = 0; kind < KINDS; kind++) {
        table->keyed[kind].slots = memory_new(FIRST_SLOTS[kind] * slot_bytes(kind));
        table->keyed[kind].mask = FIRST_SLOTS[kind] - 1;
        done &= table->keyed[kind].slots != NULL;
    }
    table->long_slots = memory_new(FIRST_LONG_SLOTS * sizeof *table->long_slots);
    table->bytes = malloc(FIRST_BYTES);
    if (!done || !table->long_slots || !table->bytes) {
        table_free(table);
        return false;
    }
    table->long_mask = FIRST_LONG_SLOTS - 1;
    table->bytes_size = FIRST_BYTES;
    return true;
}

static size_t keyed_size(const struct table *table, unsigned kind)
{
    return (table->keyed[kind].mask + 1) * slot_bytes(kind);
}

void table_free(struct table *table)
{
    for (unsigned kind = 0; kind < KINDS; kind++)
        memory_free(table->keyed[kind].slots, keyed_size(table, kind));
    memory_free(table->long_slots, (table->long_mask + 1) * sizeof *table->long_slots);
    free(table->bytes);
    free(table->long_order);
    *table = (struct table){.changes = table->changes + 1};
}

static size_t slots_size(const struct table *table)
{
    size_t size = (table->long_mask + 1) * sizeof *table->long_slots + table->bytes_size;
    for (unsigned kind = 0; kind < KINDS; kind++)
        size += keyed_size(table, kind);
    return size;
}

void table_clear(struct table *table, bool keep)
{
    const size_t size = slots_size(table);
    struct table fresh;
    /* Without memory for a small table the large one is used again. */
    if (!keep && (size > KEPT_SIZE || size > table->memory / 4) &&
        table_init(&fresh, table->key, table->memory)) {
        fresh.changes = table->changes + 1;
        fresh.threads = table->threads;
        table_free(table);
        *table = fresh;
        return;
    }
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct keyed *const keyed = &table->keyed[kind];
        if (keyed->used)
            memset(keyed->slots, 0, keyed_size(table, kind));
        keyed->used = 0;
        keyed->listed = false;
    }
    if (table->long_used)
        memset(table->long_slots, 0, (table->long_mask + 1) * sizeof *table->long_slots);
    free(table->long_order);
    table->long_order = NULL;
    table->long_used = table->bytes_used = 0;
    table->total = 0;
    table->changes++;
}

size_t table_distinct(const struct table *table)
{
    size_t distinct = table->long_used;
    for (unsigned kind = 0; kind < KINDS; kind++)
        distinct += table->keyed[kind].used;
    return distinct;
}

unsigned table_threads(const struct table *table, size_t words)
{
    const size_t most = words / WORTHWHILE, threads = table->threads < most ? table->threads : most;
    return threads < MOST_THREADS ? (threads ? (unsigned)threads : 1) : MOST_THREADS;
}

bool table_has_room_for(const struct table *table, const struct table *other)
{
    const size_t long_used = table->long_used + other->long_used;
    size_t size = slots_size(table) + 2 * long_used * sizeof(struct entry);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        const size_t slots = table->keyed[kind].mask + 1;
        const size_t used = table->keyed[kind].used + other->keyed[kind].used;
        size += (slots_for(slots, used) - slots) * slot_bytes(kind);
    }
    if (other->long_used)
        size += 2 * (slots_for(table->long_mask + 1, long_used) * sizeof *table->long_slots +
                     table->bytes_used + other->bytes_used);
    return size <= table->memory;
}

bool table_has_room(const struct table *table, size_t bytes)
{
    /* Sorting the long words takes two arrays of entries. */
    const size_t sorted = table->long_used + bytes / KEY_BYTES;
    size_t size = slots_size(table) + 2 * sorted * sizeof(struct entry);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        const struct keyed *const keyed = &table->keyed[kind];
        const size_t shortest = kind ? 4 * width_of(kind) + 1 : 1; /* bytes, and one between */
        const size_t slots = slots_for(keyed->mask + 1, keyed->used + bytes / (shortest + 1));
        size += (slots - keyed->mask - 1) * slot_bytes(kind);
    }
    const size_t long_slots =
        slots_for(table->long_mask + 1, table->long_used + bytes / KEY_BYTES);
    if (long_slots > table->long_mask + 1) /* while they grow, the old ones are still there */
        size += long_slots * sizeof *table->long_slots;
    if (table->bytes_used + bytes > table->bytes_size)
        size += 2 * table->bytes_size;
    return size <= table->memory;
}

bool table_is_full(const struct table *table)
{
    return table_distinct(table) && !table_has_room(table, TABLE_STEP);
}

bool table_expect_words(struct table *table, size_t times)
{
    size_t wanted[KINDS], size = 0;
    table->changes++;
    if (times > table->memory) /* so that nothing overflows */
        return true;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        const struct keyed *const keyed = &table->keyed[kind];
        const size_t used = keyed->used > table->memory / times ? keyed->used : keyed->used * times;
        wanted[kind] = slots_for(keyed->mask + 1, used);
        size += wanted[kind] * slot_bytes(kind);
    }
    for (; size > table->memory / 2; size /= 2)
        for (unsigned kind = 0; kind < KINDS; kind++)
            wanted[kind] /= 2;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct keyed *const keyed = &table->keyed[kind];
        if (wanted[kind] > keyed->mask + 1 &&
            !keyed_resize(keyed, kind, table->key, wanted[kind]))
            return false;
    }
    return true;
}

/* ---- long words ---- */

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

static bool reserve_long(struct table *table, size_t length)
{
    free(table->long_order);
    table->long_order = NULL;
    const size_t old = table->long_mask + 1, slots = slots_for(old, table->long_used + 1);
    if (slots > old) {
        struct long_slot *const grown = memory_new(slots * sizeof *grown);
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
        memory_free(table->long_slots, old * sizeof *grown);
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

/* ---- adding ---- */

bool table_add_key(struct table *table, unsigned kind, const uint64_t *key, uint64_t count)
{
    table->changes++; /* before anything moves: some may have moved when memory runs out */
    if (!keyed_reserve(&table->keyed[kind], kind, table->key, 1, 1))
        return false;
    keyed_add(&table->keyed[kind], kind, table->key, key, count);
    table->total += count;
    return true;
}

bool table_add_keys(struct table *table, unsigned kind, const uint64_t *keys, size_t count)
{
    if (!count)
        return true;
    table->changes++;
    if (!keyed_reserve(&table->keyed[kind], kind, table->key, count, 1))
        return false;
    keyed_add_all(&table->keyed[kind], kind, table->key, keys, count);
    table->total += count;
    return true;
}

static bool add_long(struct table *table, const uint8_t *word, size_t length, uint64_t count)
{
    table->changes++;
    if (!reserve_long(table, length))
        return false;
    table->total += count;
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

/* Makes the key of a word of which KEY_BYTES can be read. Returns its kind; KINDS: it has none. */
INLINE unsigned make_key(uint64_t key[WIDEST], const uint8_t *word, size_t length)
{
    if (length > KEY_BYTES)
        return KINDS;
    if (length > 16) {
        large_key(key, word, length);
        return 2;
    }
    key[0] = length > 8 ? load64(word) : first_bytes(load64(word), length);
    if (length <= 8)
        return 0;
    key[1] = first_bytes(load64(word + 8), length - 8);
    return 1;
}

void table_expect(const struct table *table, const uint8_t *word, size_t length)
{
    uint64_t key[WIDEST];
    const unsigned kind = make_key(key, word, length);
    if (kind < KINDS)
        keyed_expect(&table->keyed[kind], kind, table->key, key);
}

bool table_add_word(struct table *table, const uint8_t *word, size_t length, uint64_t count)
{
    uint64_t key[WIDEST];
    const unsigned kind = make_key(key, word, length);
    return kind < KINDS ? table_add_key(table, kind, key, count)
                        : add_long(table, word, length, count);
}

bool table_add(struct table *table, const uint8_t *word, size_t length, uint64_t count)
{
    if (!count)
        return true;
    if (length && length <= KEY_BYTES && !memchr(word, 0, length)) {
        uint8_t readable[KEY_BYTES];
        memcpy(readable, word, length);
        return table_add_word(table, readable, length, count);
    }
    return add_long(table, word, length, count);
}
