#define _DEFAULT_SOURCE /* madvise */
#include "table.h"

#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "bits.h"

#ifdef SMALL_TABLES /* so that a fuzzer sees them grow */
static const size_t FIRST_SLOTS[KINDS] = {4, 4, 4};
enum { FIRST_LONG_SLOTS = 2, FIRST_BYTES = 16 };
#else
static const size_t FIRST_SLOTS[KINDS] = {1 << 11, 1 << 9, 1 << 8};
enum { FIRST_LONG_SLOTS = 1 << 7, FIRST_BYTES = 1 << 12 };
#endif
enum { KEPT_SIZE = 8 << 20 }; /* bytes that table_clear doesn't give back */
enum { HUGE_PAGE = 2 << 20 };

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

static size_t slot_bytes(unsigned kind)
{
    return (width_of(kind) + 1) * sizeof(uint64_t);
}

bool table_init(struct table *table, const uint64_t key[2], size_t memory)
{
    bool done = true;
    *table = (struct table){.key = {key[0], key[1] | 1}, .memory = memory};
    for (unsigned kind = 0; kind < KINDS; kind++) {
        table->keyed[kind].slots = allocate(FIRST_SLOTS[kind], slot_bytes(kind));
        table->keyed[kind].mask = FIRST_SLOTS[kind] - 1;
        done &= table->keyed[kind].slots != NULL;
    }
    table->long_slots = allocate(FIRST_LONG_SLOTS, sizeof *table->long_slots);
    table->bytes = malloc(FIRST_BYTES);
    if (!done || !table->long_slots || !table->bytes) {
        table_free(table);
        return false;
    }
    table->long_mask = FIRST_LONG_SLOTS - 1;
    table->bytes_size = FIRST_BYTES;
    return true;
}

void table_free(struct table *table)
{
    for (unsigned kind = 0; kind < KINDS; kind++)
        free(table->keyed[kind].slots);
    free(table->long_slots);
    free(table->bytes);
    free(table->long_order);
    *table = (struct table){.changes = table->changes + 1};
}

static size_t keyed_size(const struct table *table, unsigned kind)
{
    return (table->keyed[kind].mask + 1) * slot_bytes(kind);
}

static size_t slots_size(const struct table *table)
{
    size_t size = (table->long_mask + 1) * sizeof *table->long_slots + table->bytes_size;
    for (unsigned kind = 0; kind < KINDS; kind++)
        size += keyed_size(table, kind);
    return size;
}

bool table_clear(struct table *table, bool keep)
{
    const size_t size = slots_size(table);
    if (!keep && (size > KEPT_SIZE || size > table->memory / 4)) {
        struct table fresh;
        if (!table_init(&fresh, table->key, table->memory))
            return false;
        fresh.changes = table->changes + 1;
        table_free(table);
        *table = fresh;
        return true;
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
    return true;
}

size_t table_distinct(const struct table *table)
{
    size_t distinct = table->long_used;
    for (unsigned kind = 0; kind < KINDS; kind++)
        distinct += table->keyed[kind].used;
    return distinct;
}

/* Slots that hold `used` words with a third of them empty. */
static size_t slots_for(size_t slots, size_t used)
{
    while (used > slots / 3 * 2)
        slots *= 2;
    return slots;
}

bool table_is_full(const struct table *table)
{
    const size_t distinct = table_distinct(table);
    /* Sorting the long words takes two arrays of entries. */
    const size_t sorted = table->long_used + TABLE_STEP / KEY_BYTES;
    size_t size = slots_size(table) + 2 * sorted * sizeof(struct entry);
    /* While a part grows, its old one is still there. */
    for (unsigned kind = 0; kind < KINDS; kind++) {
        const struct keyed *const keyed = &table->keyed[kind];
        const size_t shortest = kind ? 4 * width_of(kind) + 1 : 1; /* bytes, and one between */
        const size_t slots = slots_for(keyed->mask + 1, keyed->used + TABLE_STEP / (shortest + 1));
        if (slots > keyed->mask + 1)
            size += slots * slot_bytes(kind);
    }
    const size_t long_slots =
        slots_for(table->long_mask + 1, table->long_used + TABLE_STEP / KEY_BYTES);
    if (long_slots > table->long_mask + 1)
        size += long_slots * sizeof *table->long_slots;
    if (table->bytes_used + TABLE_STEP > table->bytes_size)
        size += 2 * table->bytes_size;
    return distinct && size > table->memory;
}

/* ---- hashes ---- */

/* Multiplies and folds the 128 bits; without the keys nobody can choose words that collide. */
static inline uint64_t fold_multiply(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    const wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    const uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    const uint64_t ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
    const uint64_t middle = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;
    const uint64_t low = middle << 32 | (uint32_t)ll;
    return low ^ (hh + (lh >> 32) + (hl >> 32) + (middle >> 32));
#endif
}

INLINE uint64_t key_hash(const uint64_t key[2], const uint64_t *word, unsigned width)
{
    uint64_t hash = key[0];
    for (unsigned i = 0; i < width; i++)
        hash = fold_multiply(hash ^ word[i], key[1]);
    return hash;
}

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

/* ---- keyed slots; `width` is a constant wherever these are used ---- */

INLINE uint64_t *slot_of(const struct keyed *keyed, uint64_t hash, unsigned width)
{
    return keyed->slots + ((size_t)hash & keyed->mask) * (width + 1);
}

INLINE void prefetch_slot(const struct keyed *keyed, uint64_t hash, unsigned width)
{
    const uint64_t *const slot = slot_of(keyed, hash, width);
    prefetch(slot);
    if (width > 1) /* it may be in two lines of the cache */
        prefetch(slot + width);
}

/* Adds to a word for which there is a slot. */
INLINE void add_to_slot(struct keyed *keyed, uint64_t hash, const uint64_t *word, unsigned width,
                        uint64_t count)
{
    uint64_t *slot = slot_of(keyed, hash, width);
    uint64_t *const end = keyed->slots + (keyed->mask + 1) * (width + 1);
    for (;;) {
        uint64_t different = 0;
        for (unsigned i = 0; i < width; i++)
            different |= slot[i] ^ word[i];
        if (!different) {
            slot[width] += count;
            return;
        }
        if (!slot[0])
            break;
        slot += width + 1;
        if (slot == end)
            slot = keyed->slots;
    }
    for (unsigned i = 0; i < width; i++)
        slot[i] = word[i];
    slot[width] = count;
    keyed->used++;
}

INLINE void move_slots(struct keyed *to, const struct keyed *from, size_t slots,
                       const uint64_t key[2], unsigned width)
{
    for (size_t i = 0; i < slots; i++) {
        const uint64_t *const slot = from->slots + i * (width + 1);
        if (slot[0])
            add_to_slot(to, key_hash(key, slot, width), slot, width, slot[width]);
    }
}

INLINE void add_keys(struct table *table, unsigned kind, const uint64_t *words, size_t count)
{
    const unsigned width = width_of(kind);
    struct keyed keyed = table->keyed[kind]; /* a copy, so that it is kept in registers */
    uint64_t hashes[AHEAD];
    for (size_t i = 0; i < AHEAD; i++) {
        hashes[i] = key_hash(table->key, words + i * width, width);
        prefetch_slot(&keyed, hashes[i], width);
    }
    for (size_t i = 0; i < count; i++, words += width) {
        const uint64_t hash = hashes[i % AHEAD];
        hashes[i % AHEAD] = key_hash(table->key, words + AHEAD * width, width);
        prefetch_slot(&keyed, hashes[i % AHEAD], width);
        add_to_slot(&keyed, hash, words, width, 1);
    }
    table->keyed[kind] = keyed;
}

/* ---- room ---- */

/* Moves the words of a kind into so many slots. */
static bool rehash(struct table *table, unsigned kind, size_t slots)
{
    struct keyed *const old = &table->keyed[kind];
    struct keyed grown = {.slots = allocate(slots, slot_bytes(kind)), .mask = slots - 1};
    if (!grown.slots)
        return false;
    const size_t filled = old->listed ? old->used : old->mask + 1;
    if (kind == 0)
        move_slots(&grown, old, filled, table->key, width_of(0));
    else if (kind == 1)
        move_slots(&grown, old, filled, table->key, width_of(1));
    else
        move_slots(&grown, old, filled, table->key, width_of(2));
    free(old->slots);
    *old = grown;
    return true;
}

static bool reserve(struct table *table, unsigned kind, size_t count)
{
    const struct keyed *const keyed = &table->keyed[kind];
    const size_t old = keyed->mask + 1, slots = slots_for(old, keyed->used + count);
    return (slots == old && !keyed->listed) || rehash(table, kind, slots);
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
    free(table->long_order);
    table->long_order = NULL;
    return true;
}

/* ---- adding ---- */

static bool add_key(struct table *table, unsigned kind, const uint64_t *key, uint64_t count)
{
    struct keyed *const keyed = &table->keyed[kind];
    if (!reserve(table, kind, 1))
        return false;
    if (kind == 0)
        add_to_slot(keyed, key_hash(table->key, key, width_of(0)), key, width_of(0), count);
    else if (kind == 1)
        add_to_slot(keyed, key_hash(table->key, key, width_of(1)), key, width_of(1), count);
    else
        add_to_slot(keyed, key_hash(table->key, key, width_of(2)), key, width_of(2), count);
    return true;
}

bool table_add_keys(struct table *table, unsigned kind, const uint64_t *keys, size_t count)
{
    if (!count)
        return true;
    if (!reserve(table, kind, count))
        return false;
    if (kind == 0)
        add_keys(table, 0, keys, count);
    else if (kind == 1)
        add_keys(table, 1, keys, count);
    else
        add_keys(table, 2, keys, count);
    table->total += count;
    table->changes++;
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
    if (kind == 0)
        prefetch_slot(&table->keyed[0], key_hash(table->key, key, 1), 1);
    else if (kind == 1)
        prefetch_slot(&table->keyed[1], key_hash(table->key, key, 2), 2);
    else if (kind == 2)
        prefetch_slot(&table->keyed[2], key_hash(table->key, key, 4), 4);
}

bool table_add_word(struct table *table, const uint8_t *word, size_t length, uint64_t count)
{
    uint64_t key[WIDEST];
    const unsigned kind = make_key(key, word, length);
    const bool added = kind < KINDS ? add_key(table, kind, key, count)
                                    : add_long(table, word, length, count);
    if (added) {
        table->total += count;
        table->changes++;
    }
    return added;
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
    if (!add_long(table, word, length, count))
        return false;
    table->total += count;
    table->changes++;
    return true;
}

bool table_add_rest(struct table *table, struct cursor *from, bool *all)
{
    size_t bytes = TABLE_STEP;
    struct word word;
    for (*all = false;;) {
        if (bytes >= TABLE_STEP) { /* now and then */
            bytes = 0;
            *all = cursor_ended(from);
            if (*all || table_is_full(table))
                return true;
        }
        if (!cursor_next(from, &word)) {
            *all = true;
            return true;
        }
        const bool added = word.kind < KINDS
                               ? add_key(table, word.kind, word.key, word.count)
                               : add_long(table, word.bytes, word.length, word.count);
        if (!added)
            return false;
        table->total += word.count;
        table->changes++;
        bytes += 16 + word.length;
    }
}
