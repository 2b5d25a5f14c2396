/* Counts by word: a hash table that a hostile text can't slow down (its hashes are keyed). */
#ifndef WORDFREQ_TABLE_H
#define WORDFREQ_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A word of up to 8, 16 or 32 bytes is its own key of 1, 2 or 4 numbers: the bytes in little endian
 * order, zeros behind. That is unique, as a word with a zero byte counts as a long one. */
enum { KINDS = 3, WIDEST = 4, KEY_BYTES = 8 * WIDEST };

/* A slot is a key, then its count. An empty one begins with 0, as no key does. */
struct keyed {
    uint64_t *slots;
    size_t mask, used; /* slots - 1; the number of slots is a power of 2 */
    bool listed;       /* the used ones are in front, sorted: see table_sort */
};

struct long_slot {
    uint64_t hash, offset, count; /* `offset` into the bytes; an empty slot has the count 0 */
    uint32_t length;
};

/* Something to sort, and what it stands for. */
struct entry {
    uint64_t key, reference;
};

struct table {
    struct keyed keyed[KINDS];
    struct long_slot *long_slots;
    uint8_t *bytes; /* of the long words */
    size_t long_mask, long_used, bytes_used, bytes_size;
    struct entry *long_order; /* of the long words, by table_sort */
    uint64_t total;   /* sum of the counts */
    uint64_t changes; /* changes whenever cursors become invalid */
    uint64_t key[2];
    size_t memory; /* bytes that it should take at most, with what sorting takes; see table_is_full */
};

/* All of these that return bool: false if there isn't enough memory; then nothing has changed. */

bool table_init(struct table *table, const uint64_t key[2], size_t memory);
void table_free(struct table *table);

/* Forgets all words. Small tables are kept for the next use, with `keep` large ones as well. */
bool table_clear(struct table *table, bool keep);

/* Adds `count` to a word of up to UINT32_MAX bytes. */
bool table_add(struct table *table, const uint8_t *word, size_t length, uint64_t count);

/* The same of a word without zero bytes, of which KEY_BYTES can be read, whatever its length. */
bool table_add_word(struct table *table, const uint8_t *word, size_t length, uint64_t count);

/* Has the slot of such a word fetched, to be added soon. */
void table_expect(const struct table *table, const uint8_t *word, size_t length);

/* Adds 1 to each of `count` words, given as keys of a kind. AHEAD keys more can be read. Their
 * slots are fetched ahead, many at the same time. */
#define AHEAD 16
bool table_add_keys(struct table *table, unsigned kind, const uint64_t *keys, size_t count);

/* Different words. */
size_t table_distinct(const struct table *table);

/* Whether `memory` could be exceeded before TABLE_STEP bytes more of words are added. Nothing but
 * memory itself stops anyone from adding more. */
#define TABLE_STEP 16384
bool table_is_full(const struct table *table);

/* ---- reading ---- */

enum order { ANY_ORDER, BY_WORD, BY_COUNT };

/* A word that a cursor has come to. `bytes` are in `buffer` or in the table. */
struct word {
    const uint8_t *bytes;
    size_t length;
    uint64_t count;
    unsigned kind; /* KINDS: a long one, */
    uint64_t key[WIDEST]; /* else this is its key */
    uint8_t buffer[KEY_BYTES];
};

/* Where a word is among others: ~count (0 if counts don't matter), then its first 8 bytes. */
struct rank {
    uint64_t count, prefix;
};

struct cursor {
    const struct table *table;
    enum order order;
    size_t next[KINDS + 1];       /* of each kind, the long ones last */
    struct rank heads[KINDS + 1]; /* of the next words; none left: the highest numbers */
};

/* Begins to read the words in no order, in the order of their bytes, or by count, highest first,
 * then by their bytes. To sort, the table is rearranged, which ends the validity of other cursors;
 * it can be added to all the same. False without memory. */
bool cursor_start(struct cursor *cursor, struct table *table, enum order order);

/* Goes to the next word; false: there is none. */
bool cursor_next(struct cursor *cursor, struct word *word);
bool cursor_ended(struct cursor *cursor);

/* Adds words until the table is full; *all says whether none is left. False without memory. */
bool table_add_rest(struct table *table, struct cursor *from, bool *all);

/* Sorts by key; equal keys stay in order. `scratch` has room for as many. */
void sort_entries(struct entry *entries, struct entry *scratch, size_t count);

/* ---- for those who make tables ---- */

/* Makes lists of the keyed slots, in front and in the given order, and `long_order`. Adding a word
 * turns a list into slots again. False without memory. */
bool table_sort(struct table *table, enum order order);

static inline unsigned width_of(unsigned kind)
{
    return 1u << kind;
}

/* 8 bytes, the first the lowest. (GCC 12 makes 8 loads of the portable form.) */
static inline uint64_t load64(const uint8_t *bytes)
{
    uint64_t value = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&value, bytes, sizeof value);
#else
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
#endif
    return value;
}

/* The same bytes, the first the highest. */
static inline uint64_t swap_bytes(uint64_t value)
{
#ifdef __GNUC__
    return __builtin_bswap64(value);
#else
    uint64_t swapped = 0;
    for (unsigned i = 0; i < 64; i += 8)
        swapped |= (value >> i & 0xFF) << (56 - i);
    return swapped;
#endif
}

/* The first `length` bytes, 1 to 8, of 8 that are loaded. */
static inline uint64_t first_bytes(uint64_t loaded, size_t length)
{
    return loaded & (~(uint64_t)0 >> (64 - 8 * length));
}

/* The key of a word of 17 to 32 bytes, of which 32 can be read. */
static inline void large_key(uint64_t key[4], const uint8_t *word, size_t length)
{
    key[0] = load64(word);
    key[1] = load64(word + 8);
    key[2] = length < 24 ? first_bytes(load64(word + 16), length - 16) : load64(word + 16);
    key[3] = length > 24 ? first_bytes(load64(word + 24), length - 24) : 0;
}

#endif
