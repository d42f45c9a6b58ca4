/*
 * Structs that grow: each of them in every size that a program built against
 * another version may hand over. The block is as long as its size says, so
 * that the address sanitizer sees an access beyond.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

TestSuite(growth, .init = stage_open, .fini = stage_close, .timeout = 120);

enum { BEYOND = 24, GARBAGE = 0xa5 };

/* What the library takes. */

struct input {
    const char *name;
    const void *known; /* a whole one */
    size_t known_size;
    size_t needed; /* bytes without which it cannot serve; no version ends in between */
    int (*give)(const void *input);
};

static int give_notifier(const void *input)
{
    struct tn_notifier *made = NULL;
    int result = tn_notifier_new(input, &made);

    cr_expect_eq(result == 0, made != NULL);
    tn_notifier_free(made);
    return result;
}

static int give_pool(const void *input)
{
    struct tn_executor *made = NULL;
    int result = tn_executor_new_pool(input, &made);

    cr_expect_eq(result == 0, made != NULL);
    tn_executor_unref(made);
    return result;
}

static int give_executor(const void *input)
{
    struct tn_executor *made = NULL;
    int result = tn_executor_new(input, NULL, &made);

    cr_expect_eq(result == 0, made != NULL);
    tn_executor_unref(made);
    return result;
}

static int give_processor(const void *input)
{
    struct tn_processor *made = NULL;
    int result = tn_processor_new(input, NULL, &made);

    cr_expect_eq(result == 0, made != NULL);
    tn_processor_unref(made);
    return result;
}

static int give_add(const void *input)
{
    tn_wd wd = 0;
    int result = tn_watch_add(notifier, ".", input, &wd);

    cr_expect_eq(result == 0, wd > 0);
    tn_watch_remove(notifier, wd, TN_REMOVE_SYNC);
    return result;
}

static int give_add_list(const void *input)
{
    const char *path = ".";
    struct tn_watch_result placed = {0};
    int result = tn_watch_add_list(notifier, &path, 1, input, &placed);

    cr_expect_eq(result == 1, placed.path == path && placed.wd > 0 && placed.error == 0);
    tn_watch_remove(notifier, placed.wd, TN_REMOVE_SYNC);
    return result == 1 ? 0 : result;
}

static int give_add_glob(const void *input)
{
    size_t count = 0;
    int result = tn_watch_add_glob(notifier, "glob*", input, &count);

    cr_expect_eq(result == 0, count == 1);
    if (result == 0)
        tn_watch_remove(notifier, found("globbed"), TN_REMOVE_SYNC);
    return result;
}

static tn_wd standing;

static int give_update(const void *input)
{
    return tn_watch_update(notifier, standing, TN_UPDATE_MASK, input);
}

static int give_update_list(const void *input)
{
    int error = 1;
    int result = tn_watch_update_list(notifier, &standing, 1, TN_UPDATE_MASK, input, &error);

    cr_expect_eq(result == 1, error == 0);
    return result == 1 ? 0 : result;
}

static int submit_nothing(void *executor, struct tn_task *task)
{
    (void)executor;
    (void)task;
    return -EAGAIN;
}

static const struct tn_notifier_options notifier_options = TN_NOTIFIER_OPTIONS_INIT;
static const struct tn_pool_options pool_options = TN_POOL_OPTIONS_INIT;
static const struct tn_executor_ops executor_ops = {.size = sizeof(executor_ops),
                                                    .submit = submit_nothing};
static const struct tn_processor_ops processor_ops = TN_PROCESSOR_OPS_INIT;
static const struct tn_watch_options watch_options = {.size = sizeof(watch_options),
                                                      .mask = IN_CREATE};

#define INPUT(struct_, needed_, give_)                                                             \
    {                                                                                              \
        .name = #give_, .known = &(struct_), .known_size = sizeof(struct_), .needed = (needed_),   \
        .give = (give_)                                                                            \
    }
#define MASK_END (offsetof(struct tn_watch_options, mask) + sizeof(uint32_t))

static const struct input inputs[] = {
    INPUT(notifier_options, 0, give_notifier),
    INPUT(pool_options, 0, give_pool),
    INPUT(executor_ops, offsetof(struct tn_executor_ops, submit) + sizeof(void *), give_executor),
    INPUT(processor_ops, 0, give_processor),
    INPUT(watch_options, MASK_END, give_add),
    INPUT(watch_options, MASK_END, give_add_list),
    INPUT(watch_options, MASK_END, give_add_glob),
    INPUT(watch_options, MASK_END, give_update),
    INPUT(watch_options, MASK_END, give_update_list),
};

/* The struct as far as `size` bytes of it; what is beyond what is known is zero. */
static unsigned char *block(const void *known, size_t known_size, size_t size)
{
    size_t length = size < sizeof(size) ? sizeof(size) : size;
    unsigned char *bytes = calloc(1, length);

    cr_assert_not_null(bytes);
    memcpy(bytes, known, known_size < length ? known_size : length);
    memcpy(bytes, &size, sizeof(size));
    return bytes;
}

static void give_every_size(const struct input *input)
{
    for (size_t size = 0; size <= input->known_size + BEYOND; size++) {
        if (size == sizeof(size) + 1 && size < input->needed)
            size = input->needed;
        unsigned char *bytes = block(input->known, input->known_size, size);
        int expected = size < sizeof(size) || size < input->needed ? -EINVAL : 0;
        int result = input->give(bytes);

        cr_expect_eq(result, expected, "%s, size %zu: %d", input->name, size, result);
        for (size_t i = input->known_size; i < size; i++) {
            bytes[i] = 1;
            result = input->give(bytes);
            cr_expect_eq(result, -E2BIG, "%s, byte %zu of %zu: %d", input->name, i, size, result);
            bytes[i] = 0;
        }
        free(bytes);
    }
    for (size_t huge = (size_t)1 << 20; huge; huge <<= 8) {
        unsigned char *bytes = block(input->known, input->known_size, input->known_size);
        memcpy(bytes, &huge, sizeof(huge)); /* no such size is read */
        cr_expect_eq(input->give(bytes), -E2BIG, "%s, size %zu", input->name, huge);
        free(bytes);
    }
}

Test(growth, of_what_is_given)
{
    stage_start();
    make_dir("dir");
    make_dir("globbed");
    standing = add("dir", IN_DELETE, 0);
    for (size_t i = 0; i < sizeof(inputs) / sizeof(*inputs); i++)
        give_every_size(&inputs[i]);
    cr_expect_eq(info(standing).mask, IN_CREATE);
    cr_expect_eq(stats().watches, 1);
}

/* What the library fills. */

struct output {
    const char *name;
    size_t known_size;
    size_t stable; /* from here on it may be another value each time */
    int (*fill)(void *output);
};

static int fill_info(void *output)
{
    return tn_watch_get_info(notifier, standing, output);
}

static int fill_stats(void *output)
{
    return tn_notifier_get_stats(notifier, output);
}

static int fill_limits(void *output)
{
    return tn_limits_get(output);
}

static const struct output outputs[] = {
    {"tn_watch_get_info", sizeof(struct tn_watch_info), sizeof(struct tn_watch_info), fill_info},
    {"tn_notifier_get_stats", sizeof(struct tn_stats), sizeof(struct tn_stats), fill_stats},
    {"tn_limits_get", sizeof(struct tn_limits), offsetof(struct tn_limits, instances_used),
     fill_limits},
};

static void fill_size(const struct output *output, const unsigned char *whole, size_t size)
{
    size_t length = size < sizeof(size) ? sizeof(size) : size, size_after;
    unsigned char *bytes = malloc(length);

    cr_assert_not_null(bytes);
    memset(bytes, GARBAGE, length);
    memcpy(bytes, &size, sizeof(size));
    int result = output->fill(bytes);
    cr_expect_eq(result, size < sizeof(size) ? -EINVAL : 0, "%s, size %zu: %d", output->name, size,
                 result);
    memcpy(&size_after, bytes, sizeof(size_after));
    cr_expect_eq(size_after, size);
    for (size_t i = sizeof(size); i < size; i++)
        if (i < output->stable || i >= output->known_size)
            cr_expect_eq(bytes[i], i < output->stable ? whole[i] : 0, "%s, byte %zu of %zu",
                         output->name, i, size);
    free(bytes);
}

static void check_filled(const struct output *output, const unsigned char *whole)
{
    for (size_t size = 0; size <= output->known_size + BEYOND; size++)
        fill_size(output, whole, size);
    for (size_t huge = (size_t)1 << 20; huge; huge <<= 8) {
        unsigned char *bytes = block(whole, output->known_size, output->known_size);
        memcpy(bytes, &huge, sizeof(huge));
        cr_expect_eq(output->fill(bytes), -E2BIG, "%s, size %zu", output->name, huge);
        cr_expect_eq(memcmp(bytes + sizeof(huge), whole + sizeof(huge),
                            output->known_size - sizeof(huge)),
                     0);
        free(bytes);
    }
}

/* Not started, so that what is filled stays the same. */
Test(growth, of_what_is_filled)
{
    stage_new(NULL);
    make_dir("dir");
    standing = add("dir", IN_CREATE, TN_WATCH_TREE);
    make_file("dir/f");
    settle(notifier);
    for (size_t i = 0; i < sizeof(outputs) / sizeof(*outputs); i++) {
        unsigned char whole[sizeof(struct tn_stats)];
        const size_t size = outputs[i].known_size;

        cr_assert_leq(size, sizeof(whole));
        memset(whole, GARBAGE, sizeof(whole));
        memcpy(whole, &size, sizeof(size));
        cr_assert_eq(outputs[i].fill(whole), 0);
        check_filled(&outputs[i], whole);
    }
}

/* Counters of another version's size are formatted as far as they are known. */
Test(growth, of_counters_as_text)
{
    struct tn_stats known = TN_STATS_INIT;
    char whole[2048], text[2048];

    known.read = 12345;
    tn_stats_format(&known, whole, sizeof(whole));
    for (size_t size = 0; size <= sizeof(known) + BEYOND; size++) {
        unsigned char *bytes = block(&known, sizeof(known), size);
        size_t length = tn_stats_format((const void *)bytes, text, sizeof(text));

        if (size >= offsetof(struct tn_stats, delivered))
            cr_expect_str_eq(text, whole, "size %zu", size);
        else
            cr_expect_eq(length == 0, size < sizeof(size), "size %zu", size);
        free(bytes);
    }
}

/* An own struct is begun as the library's are. */
Test(growth, initial_values_are_the_size_alone)
{
    struct own {
        size_t size;
        int rest;
    } own = TN_SIZED_INIT(struct own);
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    cr_expect(own.size == sizeof(own) && own.rest == 0);
    cr_expect(options.size == sizeof(options) && options.mask == 0 && options.flags == 0 &&
              options.order == TN_ORDER_DEFAULT && !options.processor && !options.filter &&
              !options.data && !options.release && !options.placed);
    cr_expect_eq(TN_WATCH_OPTIONS(.mask = 1)->size, sizeof(options));
    cr_expect_str_eq(TN_VERSION,
                     at("%d.%d.%d", TN_VERSION_MAJOR, TN_VERSION_MINOR, TN_VERSION_PATCH));
}
