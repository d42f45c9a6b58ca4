#include "options.h"

#include <errno.h>
#include <string.h>

#include "compiler.h"

/* The size member, without a claim about the struct's type or alignment. */
static size_t size_of(const void *options)
{
    size_t size;

    memcpy(&size, options, sizeof(size));
    return size;
}

int tn__options_check(const void *options, size_t known_size)
{
    if (options == NULL)
        return 0;
    size_t size = size_of(options);
    if (size < sizeof(size_t))
        return -EINVAL;
    if (size > TN__OPTIONS_MAX)
        return -E2BIG;
    for (size_t i = known_size; i < size; i++)
        if (((const unsigned char *)options)[i] != 0)
            return -E2BIG;
    return 0;
}

int tn__options_copy(void *ret, size_t known_size, const void *options)
{
    int r = tn__options_check(options, known_size);

    if (r < 0)
        return r;
    memset(ret, 0, known_size);
    if (options != NULL)
        memcpy(ret, options, tn__min(size_of(options), known_size));
    memcpy(ret, &known_size, sizeof(known_size));
    return 0;
}

int tn__output_copy(void *ret, const void *known, size_t known_size)
{
    if (ret == NULL)
        return -EINVAL;
    size_t size = size_of(ret);
    if (size < sizeof(size_t))
        return -EINVAL;
    if (size > TN__OPTIONS_MAX)
        return -E2BIG;
    size_t filled = tn__min(size, known_size);
    memcpy((char *)ret + sizeof(size), (const char *)known + sizeof(size), filled - sizeof(size));
    memset((char *)ret + filled, 0, size - filled);
    return 0;
}
