/* Adds all words of a table to another, by several threads. */
#ifndef WORDFREQ_ABSORB_H
#define WORDFREQ_ABSORB_H

#include "tables/cursor.h"

/* Adds them by as many threads as `table` may use. TRANSFER_FULL: there may not be room, or the counts
 * may add up to too much; then nothing was added, and who adds them one by one will see. */
enum transfer table_absorb(struct table *table, const struct table *other);

#endif
