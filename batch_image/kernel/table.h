/* Counts by word: a hash table that a hostile text can't slow down (its hashes are keyed). */
#ifndef WORDFREQ_TABLE_H
#define WORDFREQ_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A word of up to 8 or 16 bytes is its own key: the bytes in little endian order, zeros behind.
 * That is unique as a word with a zero byte counts as a long one. An empty slot has the count 0. */
struct slot8 {
    uint64_t word, count;
};

struct slot16 {
    uint64_t word[2], count;
};

struct long_slot {
    uint64_t hash, offset, count; /* `offset` into the bytes */
    uint32_t length;
};

struct table {
    struct slot8 *slots8;
    struct slot16 *slots16;
    struct long_slot *long_slots;
    uint8_t *bytes; /* of the long words */
    size_t mask8, mask16, long_mask; /* slots - 1; the number of slots is a power of 2 */
    size_t used8, used16, long_used, bytes_used, bytes_size;
    uint64_t total;   /* sum of the counts */
    uint64_t changes; /* changes whenever references and entries become invalid */
    uint64_t key[2];
    size_t memory; /* bytes that it should take at most, with what sorting takes; see table_is_full */
};

/* A reference is the number of a slot; the two lowest bits say of which kind. */
enum { IN_SLOTS8, IN_SLOTS16, IN_LONG_SLOTS };

struct entry {
    uint64_t key;
    uint64_t reference; /* for table_word */
};

/* All of these that return bool: false if there isn't enough memory; then nothing has changed. */

bool table_init(struct table *table, const uint64_t key[2], size_t memory);
void table_free(struct table *table);

/* Forgets all words; keeps small tables for the next use. */
bool table_clear(struct table *table);

/* Adds `count` to a word of up to UINT32_MAX bytes. */
bool table_add(struct table *table, const uint8_t *word, size_t length, uint64_t count);

/* Adds the word of another table's entry with its count. */
bool table_add_entry(struct table *table, const struct table *from, uint64_t reference);

/* Makes room for so many more words of up to 8 and 16 bytes, so that table_add8 and table_add16 can
 * be used. Whoever uses those adds what he added to `total`, and 1 to `changes`. */
bool table_reserve(struct table *table, size_t count8, size_t count16);

/* Different words. */
size_t table_distinct(const struct table *table);

/* Whether `memory` could be exceeded before TABLE_STEP bytes more of words are added. Nothing but
 * memory itself stops anyone from adding more. */
#define TABLE_STEP 16384
bool table_is_full(const struct table *table);

/* The words in no order; like table_sorted, but faster. */
struct entry *table_entries(const struct table *table);

/* The words in the order of their bytes, or by count, highest first, then by their bytes. The
 * result has table_distinct entries, is the caller's to free, and is NULL without memory. */
struct entry *table_sorted(const struct table *table, bool by_count);

/* Sorts by key; equal keys stay in order. `scratch` has room for as many. */
void sort_entries(struct entry *entries, struct entry *scratch, size_t count);

/* The word of an entry. The bytes are in `buffer` or in the table. */
const uint8_t *table_word(const struct table *table, uint64_t reference, uint8_t buffer[16],
                          size_t *length, uint64_t *count);

static inline uint64_t load64(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) /* compilers make one load of this */
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

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

static inline uint64_t table_hash8(const struct table *table, uint64_t word)
{
    return fold_multiply(word ^ table->key[0], table->key[1]);
}

static inline uint64_t table_hash16(const struct table *table, uint64_t first, uint64_t second)
{
    const uint64_t hash = fold_multiply(first ^ table->key[0], table->key[1]);
    return fold_multiply(hash ^ second, table->key[1]);
}

/* Adds 1 to the word, whose hash is given; table_reserve has made room. */
static inline void table_add8(struct table *table, uint64_t hash, uint64_t word)
{
    struct slot8 *const slots = table->slots8;
    const size_t mask = table->mask8;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        if (slots[i].word == word) {
            slots[i].count++;
            return;
        }
        if (!slots[i].count) {
            slots[i].word = word;
            slots[i].count = 1;
            table->used8++;
            return;
        }
    }
}

static inline void table_add16(struct table *table, uint64_t hash, uint64_t first, uint64_t second)
{
    const size_t mask = table->mask16;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct slot16 *const slot = &table->slots16[i];
        if (slot->word[0] == first && slot->word[1] == second) {
            slot->count++;
            return;
        }
        if (!slot->count) {
            *slot = (struct slot16){{first, second}, 1};
            table->used16++;
            return;
        }
    }
}

#endif
