#include "tables/cursor.h"

#include <string.h>

#include "base/bits.h"

enum { LONG = KINDS }; /* the kind of the long words */

static const uint64_t *slot_at(const struct cursor *cursor, unsigned kind)
{
    return cursor->table->keyed[kind].slots + cursor->next[kind] * (width_of(kind) + 1);
}

static const struct long_slot *long_at(const struct cursor *cursor)
{
    const struct table *const table = cursor->table;
    const size_t next = cursor->next[LONG];
    return &table->long_slots[cursor->order == ANY_ORDER ? next
                                                         : table->long_order[next].reference];
}

static void store64(uint8_t *bytes, uint64_t value)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(bytes, &value, sizeof value);
#else
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
#endif
}

/* Takes the word that a kind has come to. */
static void take(struct cursor *cursor, unsigned kind, struct word *word)
{
    word->kind = kind;
    if (kind >= LONG) {
        const struct long_slot *const slot = long_at(cursor);
        word->bytes = cursor->table->bytes + slot->offset;
        word->length = slot->length;
        word->count = slot->count;
    } else {
        const unsigned width = width_of(kind);
        const uint64_t *const slot = slot_at(cursor, kind);
        for (unsigned i = 0; i < width; i++) {
            word->key[i] = slot[i];
            store64(word->buffer + 8 * i, slot[i]);
        }
        unsigned last = width - 1; /* of a key of 4 the last may be 0 */
        while (!slot[last])
            last--;
        word->bytes = word->buffer;
        word->length = 8 * last + (highest_bit(slot[last]) + 8) / 8;
        word->count = slot[width];
    }
    cursor->next[kind]++;
}

/* ---- in no order ---- */

/* Goes to the next slot in use from where a kind is. */
static bool find_any(struct cursor *cursor, unsigned kind)
{
    const struct table *const table = cursor->table;
    size_t *const next = &cursor->next[kind];
    if (kind == LONG) {
        while (*next <= table->long_mask && !table->long_slots[*next].count)
            ++*next;
        return *next <= table->long_mask;
    }
    const struct keyed *const keyed = &table->keyed[kind];
    const size_t slots = keyed->listed ? keyed->used : keyed->mask + 1;
    while (*next < slots && !*slot_at(cursor, kind))
        ++*next;
    return *next < slots;
}

/* ---- in order: the kinds are sorted, and merged here ---- */

/* The first 8 bytes of a word, the first the highest, zeros behind its end. */
static uint64_t prefix_of(const uint8_t *word, size_t length)
{
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < length ? word[i] : 0);
    return prefix;
}

/* Notes the rank of the word that a kind has come to. */
static void load_head(struct cursor *cursor, unsigned kind)
{
    struct rank *const head = &cursor->heads[kind];
    const struct table *const table = cursor->table;
    uint64_t count;
    if (cursor->next[kind] == (kind == LONG ? table->long_used : table->keyed[kind].used)) {
        *head = (struct rank){UINT64_MAX, UINT64_MAX};
        return;
    }
    if (kind == LONG) {
        const struct long_slot *const slot = long_at(cursor);
        head->prefix = prefix_of(table->bytes + slot->offset, slot->length);
        count = slot->count;
    } else {
        const uint64_t *const slot = slot_at(cursor, kind);
        head->prefix = swap_bytes(slot[0]);
        count = slot[width_of(kind)];
    }
    head->count = cursor->order == BY_COUNT ? ~count : 0;
}

/* Whether the head of `one` comes before that of `other`, of which both ranks are the same. */
static bool comes_first(const struct cursor *cursor, unsigned one, unsigned other)
{
    struct cursor copy = *cursor;
    struct word a, b;
    take(&copy, one, &a);
    take(&copy, other, &b);
    const size_t common = a.length < b.length ? a.length : b.length;
    const int order = common ? memcmp(a.bytes, b.bytes, common) : 0;
    return order ? order < 0 : a.length < b.length;
}

bool cursor_start(struct cursor *cursor, struct table *table, enum order order)
{
    *cursor = (struct cursor){.table = table, .order = order};
    if (order == ANY_ORDER)
        return true;
    if (!table_sort(table, order))
        return false;
    for (unsigned kind = 0; kind <= LONG; kind++)
        load_head(cursor, kind);
    return true;
}

/* The kind whose word is next; beyond the long ones: there is none. */
static unsigned next_kind(struct cursor *cursor)
{
    const struct rank *const heads = cursor->heads;
    unsigned best = 0;
    if (cursor->order == ANY_ORDER) {
        while (best <= LONG && !find_any(cursor, best))
            best++;
        return best;
    }
    for (unsigned kind = 1; kind <= LONG; kind++) {
        if (heads[kind].count != heads[best].count) {
            if (heads[kind].count < heads[best].count)
                best = kind;
        } else if (heads[kind].prefix != heads[best].prefix) {
            if (heads[kind].prefix < heads[best].prefix)
                best = kind;
        } else if (heads[kind].count != UINT64_MAX && comes_first(cursor, kind, best)) {
            best = kind;
        }
    }
    return heads[best].count == UINT64_MAX ? LONG + 1 : best;
}

bool cursor_ended(struct cursor *cursor)
{
    return next_kind(cursor) > LONG;
}

bool cursor_next(struct cursor *cursor, struct word *word)
{
    const unsigned kind = next_kind(cursor);
    if (kind > LONG)
        return false;
    take(cursor, kind, word);
    if (cursor->order != ANY_ORDER)
        load_head(cursor, kind);
    return true;
}

static bool add_word(struct table *table, const struct word *word)
{
    return word->kind < KINDS ? table_add_key(table, word->kind, word->key, word->count)
                              : table_add(table, word->bytes, word->length, word->count);
}

bool cursor_add_all(struct cursor *cursor, struct table *table)
{
    struct word word;
    while (cursor_next(cursor, &word))
        if (!add_word(table, &word))
            return false;
    return true;
}

enum transfer cursor_add_to(struct cursor *cursor, struct table *table)
{
    size_t bytes = TABLE_STEP;
    struct word word;
    for (;;) {
        if (bytes >= TABLE_STEP) { /* now and then */
            bytes = 0;
            if (cursor_ended(cursor))
                return TRANSFER_DONE;
            if (table_is_full(table))
                return TRANSFER_FULL;
        }
        if (!cursor_next(cursor, &word))
            return TRANSFER_DONE;
        if (!table_can_count(table, word.count))
            return TRANSFER_TOO_MANY;
        if (!add_word(table, &word))
            return TRANSFER_NO_MEMORY;
        bytes += 16 + word.length;
    }
}
