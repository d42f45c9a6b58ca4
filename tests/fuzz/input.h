/*
 * What the fuzz targets have in common: bytes taken as a script, and a check
 * that ends the process.
 */
#ifndef TN_TESTS_FUZZ_INPUT_H
#define TN_TESTS_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct input {
    const uint8_t *at, *end;
};

/* What libFuzzer, or feed.c, calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline bool input_is_empty(const struct input *input)
{
    return input->at == input->end;
}

/* 0 when nothing is left. */
static inline uint8_t take8(struct input *input)
{
    return input_is_empty(input) ? 0 : *input->at++;
}

static inline uint16_t take16(struct input *input)
{
    uint16_t low = take8(input);

    return (uint16_t)(low | take8(input) << 8);
}

static inline uint32_t take32(struct input *input)
{
    uint32_t low = take16(input);

    return low | (uint32_t)take16(input) << 16;
}

/* Up to `most` bytes. */
static inline size_t take_bytes(struct input *input, void *buffer, size_t most)
{
    size_t left = (size_t)(input->end - input->at);
    size_t size = left < most ? left : most;

    if (size > 0)
        memcpy(buffer, input->at, size);
    input->at += size;
    return size;
}

/* All up to a NUL byte, or to the end, as a string of its own, so that a read past it is seen. */
static inline char *take_string(struct input *input)
{
    size_t left = (size_t)(input->end - input->at);
    size_t length = left > 0 ? strnlen((const char *)input->at, left) : 0;
    char *string = malloc(length + 1);

    CHECK(string);
    if (length > 0)
        memcpy(string, input->at, length);
    string[length] = '\0';
    input->at += length < left ? length + 1 : length;
    return string;
}

/*
 * The rule of snprintf for a text that a format function writes: the same
 * length for every size, the text cut and terminated, and nothing behind it.
 */
static inline void check_text(size_t (*format)(const void *what, char *buffer, size_t size),
                              const void *what, size_t size)
{
    size_t length = format(what, NULL, 0);
    char *whole = malloc(length + 1);
    char *cut = malloc(size + 1);

    CHECK(whole && cut);
    memset(whole, 1, length + 1);
    CHECK(format(what, whole, length + 1) == length);
    CHECK(strlen(whole) == length);
    memset(cut, 1, size + 1);
    CHECK(format(what, cut, size) == length);
    CHECK(cut[size] == 1);
    if (size > 0) {
        size_t kept = length < size ? length : size - 1;
        CHECK(cut[kept] == '\0' && memcmp(cut, whole, kept) == 0);
    }
    free(whole);
    free(cut);
}

#endif
