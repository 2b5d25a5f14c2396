/* Reads a table, in an order or in none. */
#ifndef WORDFREQ_CURSOR_H
#define WORDFREQ_CURSOR_H

#include "tables/sort.h"

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

/* Adds the words that are left to another table until that is full. TRANSFER_TOO_MANY: the sum of
 * its counts would be beyond what can be stored. */
enum transfer { TRANSFER_DONE, TRANSFER_FULL, TRANSFER_TOO_MANY, TRANSFER_NO_MEMORY };
enum transfer cursor_add_to(struct cursor *cursor, struct table *table);

/* Adds them all, full or not. The caller has seen that they can be counted (`table_can_count`) and
 * that there is room. False without memory. */
bool cursor_add_all(struct cursor *cursor, struct table *table);

#endif
