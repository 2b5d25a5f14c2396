#include "tables/absorb.h"

#include "base/crew.h"

struct absorbing {
    struct table *table;
    const struct table *other;
    struct keyed_part parts[MOST_THREADS][KINDS];
};

static void add_parts(void *context, unsigned number)
{
    struct absorbing *const this = context;
    for (unsigned kind = 0; kind < KINDS; kind++)
        keyed_add_part(&this->table->keyed[kind], &this->other->keyed[kind], kind,
                       this->table->key, &this->parts[number][kind]);
}

static bool add_long_words(struct table *table, const struct table *other)
{
    for (size_t i = 0; other->long_used && i <= other->long_mask; i++) {
        const struct long_slot *const slot = &other->long_slots[i];
        if (slot->count &&
            !table_add(table, other->bytes + slot->offset, slot->length, slot->count))
            return false;
    }
    return true;
}

enum transfer table_absorb(struct table *table, const struct table *other)
{
    const unsigned threads = table_threads(table, table_distinct(other));
    const uint64_t total = table->total + other->total;
    struct absorbing this; /* not all of it is used, and it is large */
    this.table = table;
    this.other = other;
    if (!table_can_count(table, other->total) || !table_has_room_for(table, other))
        return TRANSFER_FULL;
    table->changes++;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        const size_t used = other->keyed[kind].used;
        if (used && !keyed_reserve(&table->keyed[kind], kind, table->key, used, threads))
            return TRANSFER_NO_MEMORY;
    }
    for (unsigned number = 0; number < threads; number++) {
        for (unsigned kind = 0; kind < KINDS; kind++) {
            const size_t slots = table->keyed[kind].mask + 1;
            struct keyed_part *const part = &this.parts[number][kind];
            part->first = slots / threads * number;
            part->end = number + 1 == threads ? slots : slots / threads * (number + 1);
            part->used = part->next = part->left_count = 0;
        }
    }
    if (!add_long_words(table, other)) /* before what can't fail */
        return TRANSFER_NO_MEMORY;
    side_by_side(add_parts, &this, threads);
    for (unsigned number = 0; number < threads; number++)
        for (unsigned kind = 0; kind < KINDS; kind++)
            keyed_add_rest(&table->keyed[kind], &other->keyed[kind], kind, table->key,
                           &this.parts[number][kind]);
    table->total = total;
    return TRANSFER_DONE;
}
