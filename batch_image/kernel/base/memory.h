/* Memory of tables: zeroed, and large parts of it grow where they are.
 *
 * From some size on these are pages of the system: what is there isn't copied, nor cleared again.
 * Sizes have to be given back: powers of 2 times something small, so that pages are filled. */
#ifndef WORDFREQ_MEMORY_H
#define WORDFREQ_MEMORY_H

#include <stddef.h>

/* Zeroed memory, or NULL. */
void *memory_new(size_t size);

/* Gives back memory of that size; NULL is fine. */
void memory_free(void *memory, size_t size);

/* The same memory, perhaps elsewhere, with zeros behind it. NULL: it is as it was. */
void *memory_enlarge(void *memory, size_t old, size_t size);

#endif
