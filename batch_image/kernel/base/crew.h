/* Several threads at one work that has as many shares. */
#ifndef WORDFREQ_CREW_H
#define WORDFREQ_CREW_H

enum { MOST_THREADS = 16 };

/* Calls `work` with each number below `count` (at most MOST_THREADS), at the same time as far as there
 * are threads to be had, and returns when all are done. */
void side_by_side(void (*work)(void *context, unsigned number), void *context, unsigned count);

#endif
