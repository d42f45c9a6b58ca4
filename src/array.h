/*
 * Arrays that grow at their end.
 */
#ifndef TN_SRC_ARRAY_H
#define TN_SRC_ARRAY_H

#include <stdlib.h>

#include "compiler.h"

enum { TN__ARRAY_FIRST = 16 };

/* The array with room for one more behind its count items. NULL: no memory, and it is as it was. */
static inline void *tn__array_room(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    size_t larger = tn__max(TN__ARRAY_FIRST, *capacity * 2);
    void *grown = reallocarray(items, larger, size);
    if (grown)
        *capacity = larger;
    return grown;
}

#endif
