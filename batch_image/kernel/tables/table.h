/* Counts by word: a hash table that a hostile text can't slow down (its hashes are keyed). */
#ifndef WORDFREQ_TABLE_H
#define WORDFREQ_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tables/entries.h"
#include "tables/keyed.h"

struct long_slot {
    uint64_t hash, offset, count; /* `offset` into the bytes; an empty slot has the count 0 */
    uint32_t length;
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
    unsigned threads; /* that sorting and absorbing may use; 0 is 1 */
    size_t memory; /* bytes that it should take at most, with what sorting takes; see table_is_full */
};

/* So that a sum, too, is a line of at most 18 digits, and fits into signed 64 bits. */
#define MOST_COUNTED UINT64_C(999999999999999999)
#define TOO_MANY "the counts add up to more than 10^18 - 1"

/* All of these that return bool: false if there isn't enough memory; then no count has changed, but
 * cursors are invalid. */

bool table_init(struct table *table, const uint64_t key[2], size_t memory);
void table_free(struct table *table);

/* Forgets all words; that can't fail. Small tables are kept for the next use, with `keep` large ones
 * as well. */
void table_clear(struct table *table, bool keep);

/* Whether the sum of the counts would stay below what can be stored. Whoever adds counts that come
 * from elsewhere asks first; those of a text are never so many. */
static inline bool table_can_count(const struct table *table, uint64_t count)
{
    return table->total <= MOST_COUNTED && count <= MOST_COUNTED - table->total;
}

/* Adds `count` to a word of up to UINT32_MAX bytes. */
bool table_add(struct table *table, const uint8_t *word, size_t length, uint64_t count);

/* The same of a word without zero bytes, of which KEY_BYTES can be read, whatever its length. */
bool table_add_word(struct table *table, const uint8_t *word, size_t length, uint64_t count);

/* Has the slot of such a word fetched, to be added soon. */
void table_expect(const struct table *table, const uint8_t *word, size_t length);

/* Adds 1 to each of `count` words, given as keys of a kind. AHEAD keys more can be read. */
bool table_add_keys(struct table *table, unsigned kind, const uint64_t *keys, size_t count);

/* Adds to the word that such a key is. */
bool table_add_key(struct table *table, unsigned kind, const uint64_t *key, uint64_t count);

/* Makes room for `times` as many different words as there are, at once, so that it needn't grow step by
 * step; but for no more than half of its memory, and not for long words. */
bool table_expect_words(struct table *table, size_t times);

/* Different words. */
size_t table_distinct(const struct table *table);

/* Whether `memory` could be exceeded before TABLE_STEP bytes more of words are added. Nothing but
 * memory itself stops anyone from adding more. */
#define TABLE_STEP 16384
bool table_is_full(const struct table *table);

/* How many threads are worthwhile for so many words. */
unsigned table_threads(const struct table *table, size_t words);

/* Whether there is room for all words of another. */
bool table_has_room_for(const struct table *table, const struct table *other);

/* Whether there is room for so many bytes of words, an empty table's included. */
bool table_has_room(const struct table *table, size_t bytes);

#endif
