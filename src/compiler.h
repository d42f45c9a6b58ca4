/*
 * What the compiler is told, and the few helpers that every room uses.
 */
#ifndef TN_SRC_COMPILER_H
#define TN_SRC_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define TN__LIKELY(x)             __builtin_expect(!!(x), 1)
#define TN__UNLIKELY(x)           __builtin_expect(!!(x), 0)
#define TN__PRINTF(string, first) __attribute__((format(printf, string, first)))
#define TN__UNUSED                __attribute__((unused))
#define TN__CACHELINE             64
#define TN__ALIGNED               __attribute__((aligned(TN__CACHELINE)))
#define TN__COUNT(array)          (sizeof(array) / sizeof((array)[0]))

/* The struct of the given type whose member is at ptr. */
#define tn__container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline size_t tn__min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t tn__max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline size_t tn__align8(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

#endif
