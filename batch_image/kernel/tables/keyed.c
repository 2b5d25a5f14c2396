#include "tables/keyed.h"

#include <string.h>

#include "base/bits.h"
#include "base/crew.h"
#include "base/hash.h"
#include "base/memory.h"

size_t slots_for(size_t slots, size_t used)
{
    while (used > slots / 3 * 2)
        slots *= 2;
    return slots;
}

/* ---- `width` is a constant wherever these are used ---- */

INLINE uint64_t key_hash(const uint64_t key[2], const uint64_t *word, unsigned width)
{
    uint64_t hash = key[0];
    for (unsigned i = 0; i < width; i++)
        hash = fold_multiply(hash ^ word[i], key[1]);
    return hash;
}

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

/* Adds what is in `count` slots. */
INLINE void add_slots(struct keyed *to, const uint64_t *slots, size_t count, const uint64_t key[2],
                      unsigned width)
{
    for (const uint64_t *slot = slots; count--; slot += width + 1)
        add_to_slot(to, key_hash(key, slot, width), slot, width, slot[width]);
}

/* Doubling, by several threads: each has the runs of slots in use from one empty slot to another. */
struct doubling {
    struct keyed *keyed;
    const uint64_t *key;
    unsigned kind;
    size_t half;                    /* slots before */
    size_t empty[MOST_THREADS + 1]; /* between the threads' runs; the last is the first again */
};

/* The first empty slot from `at` on; behind the last comes the first. */
static size_t next_empty(const struct keyed *keyed, size_t at, unsigned width)
{
    while (keyed->slots[(at & keyed->mask) * (width + 1)])
        at++;
    return at;
}

/* Moves words of the first half, which are where they belong in a table of that size, to where they
 * belong in all of it. What was in a run of slots comes to the same numbers or to those in the other
 * half, where no other run's words come to. One after the other, each finds room at the latest
 * where it was, as all from where it belongs to there were moved before. */
INLINE void spread_runs(const struct doubling *this, unsigned number, unsigned width)
{
    struct keyed keyed = *this->keyed; /* a copy: how many are used doesn't change */
    for (size_t i = this->empty[number]; i < this->empty[number + 1]; i++) {
        uint64_t *const slot = keyed.slots + (i & (this->half - 1)) * (width + 1);
        uint64_t moved[WIDEST + 1];
        if (!slot[0])
            continue;
        memcpy(moved, slot, (width + 1) * sizeof *slot);
        memset(slot, 0, (width + 1) * sizeof *slot);
        add_slots(&keyed, moved, 1, this->key, width);
    }
}

INLINE void add_all(struct keyed *to, const uint64_t key[2], const uint64_t *words, size_t count,
                    unsigned width)
{
    struct keyed keyed = *to; /* a copy, so that it is kept in registers */
    uint64_t hashes[AHEAD];
    for (size_t i = 0; i < AHEAD; i++) {
        hashes[i] = key_hash(key, words + i * width, width);
        prefetch_slot(&keyed, hashes[i], width);
    }
    for (size_t i = 0; i < count; i++, words += width) {
        const uint64_t hash = hashes[i % AHEAD];
        hashes[i % AHEAD] = key_hash(key, words + AHEAD * width, width);
        prefetch_slot(&keyed, hashes[i % AHEAD], width);
        add_to_slot(&keyed, hash, words, width, 1);
    }
    *to = keyed;
}

/* Has so many new slots, whether they were in use or listed before. */
INLINE bool renew(struct keyed *keyed, size_t slots, const uint64_t key[2], unsigned width)
{
    const size_t size = (width + 1) * sizeof(uint64_t), old = keyed->mask + 1;
    struct keyed fresh = {.slots = memory_new(slots * size), .mask = slots - 1};
    if (!fresh.slots)
        return false;
    const uint64_t *slot = keyed->slots;
    for (size_t i = 0; i < (keyed->listed ? keyed->used : old); i++, slot += width + 1)
        if (slot[0])
            add_slots(&fresh, slot, 1, key, width);
    memory_free(keyed->slots, old * size);
    *keyed = fresh;
    return true;
}

/* The slots of another that are to be gone over. */
static size_t slots_listed(const struct keyed *keyed)
{
    return keyed->listed ? keyed->used : keyed->mask + 1;
}

static bool belongs_to(const struct keyed *keyed, uint64_t hash, const struct keyed_part *part)
{
    const size_t at = (size_t)hash & keyed->mask;
    return at >= part->first && at < part->end;
}

/* As add_to_slot, but not beyond `end`; false: there is no room before it. */
INLINE bool add_before(struct keyed *keyed, uint64_t hash, const uint64_t *word, unsigned width,
                       const uint64_t *end, size_t *used)
{
    for (uint64_t *slot = slot_of(keyed, hash, width); slot < end; slot += width + 1) {
        uint64_t different = 0;
        for (unsigned i = 0; i < width; i++)
            different |= slot[i] ^ word[i];
        if (!different) {
            slot[width] += word[width];
            return true;
        }
        if (!slot[0]) {
            for (unsigned i = 0; i <= width; i++)
                slot[i] = word[i];
            ++*used;
            return true;
        }
    }
    return false;
}

INLINE void add_part(struct keyed *to, const struct keyed *other, const uint64_t key[2],
                     struct keyed_part *part, unsigned width)
{
    struct keyed keyed = *to; /* a copy, as in add_all */
    const uint64_t *const end = keyed.slots + part->end * (width + 1);
    const size_t slots = slots_listed(other);
    const uint64_t *words[AHEAD];
    uint64_t hashes[AHEAD];
    size_t taken = 0, added = 0, used = 0;
    for (size_t i = 0; i < slots || added < taken;) {
        if (i < slots && taken - added < AHEAD) {
            const uint64_t *const word = other->slots + i++ * (width + 1);
            if (!word[0])
                continue;
            const uint64_t hash = key_hash(key, word, width);
            if (!belongs_to(&keyed, hash, part))
                continue;
            prefetch_slot(&keyed, hash, width);
            words[taken % AHEAD] = word;
            hashes[taken++ % AHEAD] = hash;
            continue;
        }
        const uint64_t *const word = words[added % AHEAD];
        if (!add_before(&keyed, hashes[added % AHEAD], word, width, end, &used)) {
            if (part->left_count == LEFT_WORDS) { /* this one and all behind it */
                part->next = (size_t)(word - other->slots) / (width + 1);
                part->used = used;
                return;
            }
            part->left[part->left_count++] = word;
        }
        added++;
    }
    part->next = slots;
    part->used = used;
}

INLINE void add_rest(struct keyed *keyed, const struct keyed *other, const uint64_t key[2],
                     const struct keyed_part *part, unsigned width)
{
    keyed->used += part->used;
    for (size_t i = 0; i < part->left_count; i++)
        add_slots(keyed, part->left[i], 1, key, width);
    for (size_t i = part->next; i < slots_listed(other); i++) {
        const uint64_t *const word = other->slots + i * (width + 1);
        if (word[0] && belongs_to(keyed, key_hash(key, word, width), part))
            add_slots(keyed, word, 1, key, width);
    }
}

/* ---- one of each kind ---- */

static void spread_runs_of(void *context, unsigned number)
{
    const struct doubling *const this = context;
    if (this->kind == 0)
        spread_runs(this, number, width_of(0));
    else if (this->kind == 1)
        spread_runs(this, number, width_of(1));
    else
        spread_runs(this, number, width_of(2));
}

static bool double_slots(struct keyed *keyed, unsigned kind, const uint64_t key[2], unsigned threads)
{
    struct doubling this = {.keyed = keyed, .key = key, .kind = kind, .half = keyed->mask + 1};
    const size_t bytes = this.half * (width_of(kind) + 1) * sizeof(uint64_t);
    for (unsigned i = 0; i < threads; i++)
        this.empty[i] = next_empty(keyed, this.half / threads * i, width_of(kind));
    this.empty[threads] = this.empty[0] + this.half;
    uint64_t *const grown = memory_enlarge(keyed->slots, bytes, 2 * bytes);
    if (!grown)
        return false;
    keyed->slots = grown;
    keyed->mask = 2 * this.half - 1;
    side_by_side(spread_runs_of, &this, threads);
    return true;
}

bool keyed_reserve(struct keyed *keyed, unsigned kind, const uint64_t key[2], size_t count,
                   unsigned threads)
{
    const size_t slots = slots_for(keyed->mask + 1, keyed->used + count);
    bool done = !keyed->listed || keyed_resize(keyed, kind, key, keyed->mask + 1);
    while (done && slots > keyed->mask + 1)
        done = double_slots(keyed, kind, key, threads);
    return done;
}

bool keyed_resize(struct keyed *keyed, unsigned kind, const uint64_t key[2], size_t slots)
{
    if (kind == 0)
        return renew(keyed, slots, key, width_of(0));
    if (kind == 1)
        return renew(keyed, slots, key, width_of(1));
    return renew(keyed, slots, key, width_of(2));
}

void keyed_add(struct keyed *keyed, unsigned kind, const uint64_t key[2], const uint64_t *word,
               uint64_t count)
{
    if (kind == 0)
        add_to_slot(keyed, key_hash(key, word, width_of(0)), word, width_of(0), count);
    else if (kind == 1)
        add_to_slot(keyed, key_hash(key, word, width_of(1)), word, width_of(1), count);
    else
        add_to_slot(keyed, key_hash(key, word, width_of(2)), word, width_of(2), count);
}

void keyed_add_all(struct keyed *keyed, unsigned kind, const uint64_t key[2],
                   const uint64_t *words, size_t count)
{
    if (kind == 0)
        add_all(keyed, key, words, count, width_of(0));
    else if (kind == 1)
        add_all(keyed, key, words, count, width_of(1));
    else
        add_all(keyed, key, words, count, width_of(2));
}

void keyed_add_part(struct keyed *keyed, const struct keyed *other, unsigned kind,
                    const uint64_t key[2], struct keyed_part *part)
{
    if (kind == 0)
        add_part(keyed, other, key, part, width_of(0));
    else if (kind == 1)
        add_part(keyed, other, key, part, width_of(1));
    else
        add_part(keyed, other, key, part, width_of(2));
}

void keyed_add_rest(struct keyed *keyed, const struct keyed *other, unsigned kind,
                    const uint64_t key[2], const struct keyed_part *part)
{
    if (kind == 0)
        add_rest(keyed, other, key, part, width_of(0));
    else if (kind == 1)
        add_rest(keyed, other, key, part, width_of(1));
    else
        add_rest(keyed, other, key, part, width_of(2));
}

void keyed_expect(const struct keyed *keyed, unsigned kind, const uint64_t key[2],
                  const uint64_t *word)
{
    if (kind == 0)
        prefetch_slot(keyed, key_hash(key, word, width_of(0)), width_of(0));
    else if (kind == 1)
        prefetch_slot(keyed, key_hash(key, word, width_of(1)), width_of(1));
    else
        prefetch_slot(keyed, key_hash(key, word, width_of(2)), width_of(2));
}
