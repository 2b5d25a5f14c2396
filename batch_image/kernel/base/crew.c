#include "base/crew.h"

#ifndef _WIN32
#include <pthread.h>
#include <stdbool.h>

struct share {
    void (*work)(void *context, unsigned number);
    void *context;
    unsigned number;
};

static void *run(void *argument)
{
    const struct share *const share = argument;
    share->work(share->context, share->number);
    return NULL;
}

void side_by_side(void (*work)(void *context, unsigned number), void *context, unsigned count)
{
    struct share shares[MOST_THREADS];
    pthread_t threads[MOST_THREADS];
    bool started[MOST_THREADS] = {false};
    for (unsigned i = 1; i < count; i++) {
        shares[i] = (struct share){work, context, i};
        started[i] = pthread_create(&threads[i], NULL, run, &shares[i]) == 0;
    }
    work(context, 0);
    for (unsigned i = 1; i < count; i++) {
        if (started[i])
            pthread_join(threads[i], NULL);
        else
            work(context, i);
    }
}
#else
void side_by_side(void (*work)(void *context, unsigned number), void *context, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        work(context, i);
}
#endif
