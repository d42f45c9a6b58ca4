#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

struct small {
    size_t size;
    int a;
    int b;
};

struct large {
    size_t size;
    int a;
    int b;
    long c;
};

Test(options, null_is_all_zero)
{
    struct small known;

    memset(&known, 0xff, sizeof(known));
    cr_assert_eq(tn__options_check(NULL, sizeof(known)), 0);
    cr_assert_eq(tn__options_copy(&known, sizeof(known), NULL), 0);
    cr_assert_eq(known.size, sizeof(known));
    cr_assert_eq(known.a, 0);
    cr_assert_eq(known.b, 0);
}

Test(options, smaller_is_extended_with_zero)
{
    struct small given = {.size = sizeof(given), .a = 1, .b = 2};
    struct large known;

    memset(&known, 0xff, sizeof(known));
    cr_assert_eq(tn__options_copy(&known, sizeof(known), &given), 0);
    cr_assert_eq(known.size, sizeof(known));
    cr_assert_eq(known.a, 1);
    cr_assert_eq(known.b, 2);
    cr_assert_eq(known.c, 0);
}

Test(options, smaller_reads_no_further)
{
    size_t *given = malloc(sizeof(*given));
    struct large known;

    *given = sizeof(*given);
    memset(&known, 0xff, sizeof(known));
    cr_assert_eq(tn__options_copy(&known, sizeof(known), given), 0);
    cr_assert_eq(known.a, 0);
    cr_assert_eq(known.c, 0);
    free(given);
}

Test(options, larger_must_be_zero_beyond)
{
    struct large given = {.size = sizeof(given), .a = 1, .b = 2};
    struct small known = {.a = 77};

    cr_assert_eq(tn__options_check(&given, sizeof(known)), 0);
    cr_assert_eq(tn__options_copy(&known, sizeof(known), &given), 0);
    cr_assert_eq(known.size, sizeof(known));
    cr_assert_eq(known.b, 2);
    ((unsigned char *)&given)[sizeof(given) - 1] = 1;
    known.a = 77;
    cr_assert_eq(tn__options_check(&given, sizeof(known)), -E2BIG);
    cr_assert_eq(tn__options_copy(&known, sizeof(known), &given), -E2BIG);
    cr_assert_eq(known.a, 77);
    ((unsigned char *)&given)[sizeof(given) - 1] = 0;
    ((unsigned char *)&given)[sizeof(known)] = 1;
    cr_assert_eq(tn__options_check(&given, sizeof(known)), -E2BIG);
}

Test(options, refuses_senseless_sizes)
{
    struct small given = {.size = 0};
    struct small known = {.a = 77};

    cr_assert_eq(tn__options_copy(&known, sizeof(known), &given), -EINVAL);
    given.size = sizeof(size_t) - 1;
    cr_assert_eq(tn__options_copy(&known, sizeof(known), &given), -EINVAL);
    given.size = SIZE_MAX;
    cr_assert_eq(tn__options_copy(&known, sizeof(known), &given), -E2BIG);
    cr_assert_eq(known.a, 77);
}

Test(options, output_fills_no_more_than_asked)
{
    struct large known = {.size = sizeof(known), .a = 1, .b = 2, .c = 3};
    struct large asked = {.size = sizeof(struct small), .c = 77};

    cr_assert_eq(tn__output_copy(&asked, &known, sizeof(known)), 0);
    cr_assert_eq(asked.size, sizeof(struct small));
    cr_assert_eq(asked.a, 1);
    cr_assert_eq(asked.b, 2);
    cr_assert_eq(asked.c, 77);
    asked.size = sizeof(asked);
    cr_assert_eq(tn__output_copy(&asked, &known, sizeof(known)), 0);
    cr_assert_eq(asked.c, 3);
}

Test(options, output_zeroes_what_it_does_not_know)
{
    struct small known = {.size = sizeof(known), .a = 1, .b = 2};
    struct large asked = {.size = sizeof(asked), .c = 77};

    cr_assert_eq(tn__output_copy(&asked, &known, sizeof(known)), 0);
    cr_assert_eq(asked.size, sizeof(asked));
    cr_assert_eq(asked.b, 2);
    cr_assert_eq(asked.c, 0);
}

Test(options, output_needs_a_size)
{
    struct small known = {.size = sizeof(known), .a = 1};
    struct small asked = {.size = 0, .a = 77};

    cr_assert_eq(tn__output_copy(&asked, &known, sizeof(known)), -EINVAL);
    asked.size = sizeof(size_t) - 1;
    cr_assert_eq(tn__output_copy(&asked, &known, sizeof(known)), -EINVAL);
    cr_assert_eq(asked.a, 77);
    cr_assert_eq(tn__output_copy(NULL, &known, sizeof(known)), -EINVAL);
}
