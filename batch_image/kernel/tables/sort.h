/* Brings the words of a table into an order. For cursor.c. */
#ifndef WORDFREQ_SORT_H
#define WORDFREQ_SORT_H

#include "tables/table.h"

enum order { ANY_ORDER, BY_WORD, BY_COUNT };

/* Makes lists of the keyed slots, in front and in the given order, and `long_order`. Adding a word
 * turns a list into slots again. False without memory. */
bool table_sort(struct table *table, enum order order);

#endif
