#include "base/buffer.h"

#include <stdlib.h>

enum { FIRST_SIZE = 4096 };

bool buffer_reserve(struct buffer *buffer, size_t more)
{
    size_t size = buffer->size ? buffer->size : FIRST_SIZE;
    if (buffer->size - buffer->length >= more)
        return true;
    while (size - buffer->length < more)
        size *= 2;
    uint8_t *const grown = realloc(buffer->bytes, size);
    if (!grown)
        return false;
    buffer->bytes = grown;
    buffer->size = size;
    return true;
}
