/* Something to sort, and what it stands for. */
#ifndef WORDFREQ_ENTRIES_H
#define WORDFREQ_ENTRIES_H

#include <stddef.h>
#include <stdint.h>

struct entry {
    uint64_t key, reference;
};

/* Sorts by key; equal keys stay in order. `scratch` has room for as many. */
void sort_entries(struct entry *entries, struct entry *scratch, size_t count);

#endif
