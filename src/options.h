/*
 * Structs that start with their own size: what a caller built against another
 * version of the library hands over or wants filled.
 */
#ifndef TN_SRC_OPTIONS_H
#define TN_SRC_OPTIONS_H

#include <stddef.h>

/* A size beyond this is taken for garbage, and its unknown part is not looked at. */
#define TN__OPTIONS_MAX 4096

/*
 * 0 if the library can serve what options asks: NULL, or the part that it does
 * not know is all zero. -E2BIG if that is not so, -EINVAL if size is too small
 * to be one.
 */
int tn__options_check(const void *options, size_t known_size);

/*
 * The same, and then the options in the size that the library knows: a part
 * that the caller does not have is zero, NULL is all zero. *ret's own size is
 * known_size. Untouched on failure.
 */
int tn__options_copy(void *ret, size_t known_size, const void *options);

/*
 * Fills the caller's output struct as far as its size says and leaves that
 * size as it is; what the library does not know becomes zero. -EINVAL if the
 * size is too small to be one.
 */
int tn__output_copy(void *ret, const void *known, size_t known_size);

#endif
