/* Slots of words that are their own keys. For table.c, which see. */
#ifndef WORDFREQ_KEYED_H
#define WORDFREQ_KEYED_H

#include "table.h"

/* `key` is that of the hashes, `word` or `words` are keys of that kind. */

/* Slots that hold `used` words with a third of them empty, at least as many as there are. */
size_t slots_for(size_t slots, size_t used);

/* Makes room for so many words more. False without memory; then nothing has changed. */
bool keyed_reserve(struct keyed *keyed, unsigned kind, const uint64_t key[2], size_t count);

/* Adds to a word, for which there is room. */
void keyed_add(struct keyed *keyed, unsigned kind, const uint64_t key[2], const uint64_t *word,
               uint64_t count);

/* Adds 1 to each of `count` words; AHEAD keys more can be read. */
void keyed_add_all(struct keyed *keyed, unsigned kind, const uint64_t key[2],
                   const uint64_t *words, size_t count);

/* Has the slot of a word fetched. */
void keyed_expect(const struct keyed *keyed, unsigned kind, const uint64_t key[2],
                  const uint64_t *word);

#endif
