/* A growing string of bytes. */
#ifndef WORDFREQ_BUFFER_H
#define WORDFREQ_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *bytes;
    size_t length, size;
};

/* Makes room for so many bytes more. False without memory; then it is as it was. */
bool buffer_reserve(struct buffer *buffer, size_t more);

#endif
