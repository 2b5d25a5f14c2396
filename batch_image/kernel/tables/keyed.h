/* Words that are their own keys, and slots of these. For tables, and for who fills them. */
#ifndef WORDFREQ_KEYED_H
#define WORDFREQ_KEYED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"

/* A word of up to 8, 16 or 32 bytes is its own key of 1, 2 or 4 numbers: the bytes in little endian
 * order, zeros behind. That is unique, as a word with a zero byte counts as a long one. */
enum { KINDS = 3, WIDEST = 4, KEY_BYTES = 8 * WIDEST };

/* A slot is a key, then its count. An empty one begins with 0, as no key does. */
struct keyed {
    uint64_t *slots;
    size_t mask, used; /* slots - 1; the number of slots is a power of 2 */
    bool listed;       /* the used ones are in front, sorted: see table_sort */
};

#ifdef SMALL_TABLES /* so that a fuzzer sees it exceeded */
enum { LEFT_WORDS = 2 };
#else
enum { LEFT_WORDS = 64 };
#endif

static inline unsigned width_of(unsigned kind)
{
    return 1u << kind;
}

/* The key of a word of 17 to 32 bytes, of which 32 can be read. */
static inline void large_key(uint64_t key[4], const uint8_t *word, size_t length)
{
    key[0] = load64(word);
    key[1] = load64(word + 8);
    key[2] = length < 24 ? first_bytes(load64(word + 16), length - 16) : load64(word + 16);
    key[3] = length > 24 ? first_bytes(load64(word + 24), length - 24) : 0;
}

/* `key` is that of the hashes, `word` or `words` are keys of that kind. */

/* Slots that hold `used` words with a third of them empty, at least as many as there are. */
size_t slots_for(size_t slots, size_t used);

/* Makes room for so many words more, by several threads. False without memory; then the words are the
 * same, though perhaps elsewhere. */
bool keyed_reserve(struct keyed *keyed, unsigned kind, const uint64_t key[2], size_t count,
                   unsigned threads);

/* The same at once, for very many. */
bool keyed_resize(struct keyed *keyed, unsigned kind, const uint64_t key[2], size_t slots);

/* Adds to a word, for which there is room. */
void keyed_add(struct keyed *keyed, unsigned kind, const uint64_t key[2], const uint64_t *word,
               uint64_t count);

/* Adds 1 to each of `count` words, whose slots are fetched ahead, many at the same time: AHEAD keys
 * more can be read. */
#define AHEAD 16
void keyed_add_all(struct keyed *keyed, unsigned kind, const uint64_t key[2],
                   const uint64_t *words, size_t count);

/* Adding all words of another by several threads: each has a part of the slots, and adds the words
 * that belong there. Room for all of them is reserved before. */
struct keyed_part {
    size_t first, end; /* of the slots */
    size_t used, next; /* new words; where it stopped in the slots of the other */
    const uint64_t *left[LEFT_WORDS]; /* slots of the other that need room behind the part: few, */
    size_t left_count;                /* for keyed_add_rest */
};
void keyed_add_part(struct keyed *keyed, const struct keyed *other, unsigned kind,
                    const uint64_t key[2], struct keyed_part *part);

/* Adds what is left of a part, once all parts are done. */
void keyed_add_rest(struct keyed *keyed, const struct keyed *other, unsigned kind,
                    const uint64_t key[2], const struct keyed_part *part);

/* Has the slot of a word fetched. */
void keyed_expect(const struct keyed *keyed, unsigned kind, const uint64_t key[2],
                  const uint64_t *word);

#endif
