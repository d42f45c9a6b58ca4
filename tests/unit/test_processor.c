#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "processor/processor.h"

/* What was called, as one letter a call. */
struct trace {
    char letters[64];
    size_t length;
    int result;
    size_t batch;
    int releases;
};

static void note(struct trace *trace, char letter)
{
    cr_assert_lt(trace->length, sizeof(trace->letters) - 1);
    trace->letters[trace->length++] = letter;
    trace->letters[trace->length] = '\0';
}

#define HANDLER(name, letter)                                                                      \
    static int name(const struct tn_event *event, void *userdata)                                  \
    {                                                                                              \
        (void)event;                                                                               \
        note(userdata, letter);                                                                    \
        return ((struct trace *)userdata)->result;                                                 \
    }

HANDLER(on_access, 'a')
HANDLER(on_modify, 'm')
HANDLER(on_attrib, 't')
HANDLER(on_close_write, 'w')
HANDLER(on_close_nowrite, 'n')
HANDLER(on_open, 'o')
HANDLER(on_moved_from, 'f')
HANDLER(on_moved_to, 'T')
HANDLER(on_create, 'c')
HANDLER(on_delete, 'd')
HANDLER(on_delete_self, 'D')
HANDLER(on_move_self, 'S')
HANDLER(on_unmount, 'u')
HANDLER(on_q_overflow, 'q')
HANDLER(on_ignored, 'i')
HANDLER(on_close, '1')
HANDLER(on_move, '2')
HANDLER(on_default, '*')

static const uint32_t masks[] = {
    IN_ACCESS,      IN_MODIFY,     IN_ATTRIB,   IN_CLOSE_WRITE, IN_CLOSE_NOWRITE,
    IN_OPEN,        IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE,      IN_DELETE,
    IN_DELETE_SELF, IN_MOVE_SELF,  IN_UNMOUNT,  IN_Q_OVERFLOW,  IN_IGNORED,
};

static int on_batch(const struct tn_event *const *events, size_t count, void *userdata)
{
    struct trace *trace = userdata;

    for (size_t i = 0; i < count; i++)
        cr_assert_not_null(events[i]);
    note(trace, 'b');
    trace->batch += count;
    return trace->result;
}

static void on_flush(void *userdata)
{
    note(userdata, 'F');
}

static void on_release(void *userdata)
{
    ((struct trace *)userdata)->releases++;
}

static struct tn_processor *make(const struct tn_processor_ops *ops, struct trace *trace)
{
    struct tn_processor *processor = NULL;

    cr_assert_eq(tn_processor_new(ops, trace, &processor), 0);
    return processor;
}

static int call(struct tn_processor *processor, uint32_t mask)
{
    struct tn_event event = {.wd = 1, .mask = mask};

    return tn_processor_call(processor, &event);
}

static bool is_unhandled(struct tn_processor *processor, uint32_t mask)
{
    struct tn_event event = {.wd = 1, .mask = mask};
    bool unhandled = !processor;

    tn__processor_call(processor, &event, &unhandled);
    return unhandled;
}

Test(processor, calls_the_exact_function)
{
    struct tn_processor_ops ops = {
        .size = sizeof(ops),
        .process_access = on_access,
        .process_attrib = on_attrib,
        .process_close_write = on_close_write,
        .process_close_nowrite = on_close_nowrite,
        .process_create = on_create,
        .process_delete = on_delete,
        .process_delete_self = on_delete_self,
        .process_ignored = on_ignored,
        .process_modify = on_modify,
        .process_move_self = on_move_self,
        .process_moved_from = on_moved_from,
        .process_moved_to = on_moved_to,
        .process_open = on_open,
        .process_q_overflow = on_q_overflow,
        .process_unmount = on_unmount,
        .process_close = on_close,
        .process_move = on_move,
        .process_default = on_default,
    };
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);

    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++)
        call(processor, masks[i] | (i % 2 ? IN_ISDIR : 0));
    cr_assert_str_eq(trace.letters, "amtwnofTcdDSuqi");
    tn_processor_unref(processor);
}

Test(processor, falls_back_to_family_then_default)
{
    struct tn_processor_ops ops = {
        .size = sizeof(ops),
        .process_close_write = on_close_write,
        .process_close = on_close,
        .process_move = on_move,
        .process_default = on_default,
    };
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);

    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++)
        call(processor, masks[i]);
    cr_assert_str_eq(trace.letters, "***w1*22*******");
    tn_processor_unref(processor);
}

Test(processor, no_event_bit_goes_to_default)
{
    struct tn_processor_ops ops = {.size = sizeof(ops),
                                   .process_create = on_create,
                                   .process_default = on_default};
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);

    call(processor, 0);
    call(processor, IN_ISDIR);
    call(processor, 0x1000);
    call(processor, UINT32_MAX & ~TN__MASK_EVENTS);
    call(processor, IN_CREATE | 0x1000);
    cr_assert_str_eq(trace.letters, "****c");
    tn_processor_unref(processor);
}

Test(processor, tells_what_is_unhandled)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .process_create = on_create};
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);

    cr_assert_not(is_unhandled(processor, IN_CREATE));
    cr_assert(is_unhandled(processor, IN_DELETE));
    cr_assert(is_unhandled(processor, 0));
    cr_assert_eq(call(processor, IN_DELETE), 0);
    cr_assert_str_eq(trace.letters, "c");
    tn_processor_unref(processor);
}

Test(processor, gives_back_the_result)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = on_default};
    struct trace trace = {.result = -EXDEV};
    struct tn_processor *processor = make(&ops, &trace);

    cr_assert_eq(call(processor, IN_OPEN), -EXDEV);
    trace.result = TN_STOP;
    cr_assert_eq(call(processor, IN_OPEN), TN_STOP);
    tn_processor_unref(processor);
}

Test(processor, refuses_bad_arguments)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .release = on_release};
    struct trace trace = {0};
    struct tn_processor *processor = NULL;
    struct tn_event event = {.wd = 1};

    cr_assert_eq(tn_processor_new(NULL, NULL, &processor), -EINVAL);
    cr_assert_eq(tn_processor_new(&ops, &trace, NULL), -EINVAL);
    ops.size = 3;
    cr_assert_eq(tn_processor_new(&ops, &trace, &processor), -EINVAL);
    cr_assert_null(processor);
    cr_assert_eq(trace.releases, 0);
    cr_assert_eq(tn_processor_call(NULL, &event), -EINVAL);
    ops.size = sizeof(ops);
    processor = make(&ops, &trace);
    cr_assert_eq(tn_processor_call(processor, NULL), -EINVAL);
    tn_processor_unref(processor);
    cr_assert_null(tn_processor_unref(NULL));
    cr_assert_null(tn_processor_ref(NULL));
}

Test(processor, takes_an_older_and_a_newer_table)
{
    struct {
        struct tn_processor_ops ops;
        void *later;
    } newer = {.ops = {.size = sizeof(newer), .process_default = on_default}};
    struct tn_processor_ops older = {.size = offsetof(struct tn_processor_ops, process_close),
                                     .process_create = on_create,
                                     .process_default = on_default};
    struct trace trace = {0};
    struct tn_processor *processor = make(&older, &trace);

    call(processor, IN_CREATE);
    cr_assert(is_unhandled(processor, IN_OPEN));
    tn_processor_unref(processor);
    processor = make(&newer.ops, &trace);
    call(processor, IN_CREATE);
    cr_assert_str_eq(trace.letters, "c*");
    tn_processor_unref(processor);
    newer.later = &trace;
    cr_assert_eq(tn_processor_new(&newer.ops, &trace, &processor), -E2BIG);
}

Test(processor, releases_with_the_last_reference)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .release = on_release};
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);

    cr_assert_eq(tn_processor_ref(processor), processor);
    cr_assert_null(tn_processor_unref(processor));
    cr_assert_eq(trace.releases, 0);
    cr_assert_null(tn_processor_unref(processor));
    cr_assert_eq(trace.releases, 1);
}

static pthread_barrier_t barrier;

static void *ref_and_unref(void *argument)
{
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 500000; i++)
        tn_processor_unref(tn_processor_ref(argument));
    return tn_processor_unref(argument);
}

Test(processor, references_are_counted_by_all_threads)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .release = on_release};
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);
    pthread_t threads[4];

    pthread_barrier_init(&barrier, NULL, 4);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, ref_and_unref, tn_processor_ref(processor)),
                     0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(trace.releases, 0);
    tn_processor_unref(processor);
    cr_assert_eq(trace.releases, 1);
}

Test(processor, batch_stands_for_all)
{
    struct tn_processor_ops ops = {.size = sizeof(ops),
                                   .process_default = on_default,
                                   .process_batch = on_batch};
    struct trace trace = {.result = -EXDEV};
    struct tn_processor *processor = make(&ops, &trace);
    struct tn_event event = {.wd = 1, .mask = IN_OPEN};
    const struct tn_event *events[3] = {&event, &event, &event};

    cr_assert(tn__processor_has_batch(processor));
    cr_assert_eq(tn__processor_call_batch(processor, events, 3), -EXDEV);
    cr_assert_eq(trace.batch, 3);
    cr_assert_eq(call(processor, IN_OPEN), -EXDEV);
    cr_assert_eq(trace.batch, 4);
    cr_assert_not(is_unhandled(processor, 0));
    cr_assert_str_eq(trace.letters, "bbb");
    tn_processor_unref(processor);
}

Test(processor, flushes)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .flush = on_flush};
    struct tn_processor_ops none = {.size = sizeof(none)};
    struct trace trace = {0};
    struct tn_processor *processor = make(&ops, &trace);

    tn__processor_flush(processor);
    cr_assert_str_eq(trace.letters, "F");
    tn_processor_unref(processor);
    processor = make(&none, &trace);
    tn__processor_flush(processor);
    tn_processor_unref(processor);
}

/* A chain of processors that share one trace, made and left with the only reference. */
static struct tn_processor *chain_of(struct tn_processor *const *members, size_t count)
{
    struct tn_processor *chain = NULL;

    cr_assert_eq(tn_processor_new_chain(members, count, &chain), 0);
    for (size_t i = 0; i < count; i++)
        tn_processor_unref(members[i]);
    return chain;
}

static const struct tn_processor_ops create_ops = {.size = sizeof(create_ops),
                                                   .process_create = on_create,
                                                   .flush = on_flush,
                                                   .release = on_release};
static const struct tn_processor_ops default_ops = {.size = sizeof(default_ops),
                                                    .process_default = on_default,
                                                    .flush = on_flush,
                                                    .release = on_release};
static const struct tn_processor_ops batch_ops = {.size = sizeof(batch_ops),
                                                  .process_batch = on_batch,
                                                  .flush = on_flush,
                                                  .release = on_release};

Test(chain, calls_in_order)
{
    struct trace trace = {0};
    struct tn_processor *chain =
        chain_of((struct tn_processor *[]){make(&create_ops, &trace), make(&batch_ops, &trace),
                                           make(&default_ops, &trace)},
                 3);

    cr_assert_not(tn__processor_has_batch(chain));
    cr_assert_eq(call(chain, IN_CREATE), 0);
    cr_assert_str_eq(trace.letters, "cb*");
    cr_assert_eq(trace.batch, 1);
    tn__processor_flush(chain);
    cr_assert_str_eq(trace.letters, "cb*FFF");
    cr_assert_eq(trace.releases, 0);
    tn_processor_unref(chain);
    cr_assert_eq(trace.releases, 3);
}

Test(chain, stop_ends_it)
{
    struct trace first = {.result = TN_STOP}, second = {0};
    struct tn_processor *chain =
        chain_of((struct tn_processor *[]){make(&create_ops, &first), make(&default_ops, &second)},
                 2);

    cr_assert_eq(call(chain, IN_CREATE), TN_STOP);
    cr_assert_str_eq(second.letters, "");
    cr_assert_eq(call(chain, IN_DELETE), 0);
    cr_assert_str_eq(second.letters, "*");
    tn_processor_unref(chain);
}

Test(chain, the_first_error_is_the_result_and_it_goes_on)
{
    struct trace first = {.result = -EXDEV}, second = {.result = -EIO}, third = {0};
    struct tn_processor *chain =
        chain_of((struct tn_processor *[]){make(&default_ops, &first), make(&default_ops, &second),
                                           make(&default_ops, &third)},
                 3);

    cr_assert_eq(call(chain, IN_CREATE), -EXDEV);
    cr_assert_str_eq(third.letters, "*");
    third.result = TN_STOP;
    cr_assert_eq(call(chain, IN_CREATE), -EXDEV);
    tn_processor_unref(chain);
}

Test(chain, is_unhandled_when_no_member_handles)
{
    struct trace trace = {0};
    struct tn_processor *chain =
        chain_of((struct tn_processor *[]){make(&create_ops, &trace), make(&create_ops, &trace)},
                 2);

    cr_assert(is_unhandled(chain, IN_DELETE));
    cr_assert_not(is_unhandled(chain, IN_CREATE));
    tn_processor_unref(chain);
    chain =
        chain_of((struct tn_processor *[]){make(&default_ops, &trace), make(&create_ops, &trace)},
                 2);
    cr_assert_not(is_unhandled(chain, IN_DELETE));
    tn_processor_unref(chain);
    chain = chain_of(NULL, 0);
    cr_assert(is_unhandled(chain, IN_DELETE));
    tn_processor_unref(chain);
}

Test(chain, a_nested_one_is_part_of_it)
{
    struct trace before = {0}, inside = {.result = TN_STOP}, after = {0};
    struct tn_processor *inner = chain_of((struct tn_processor *[]){make(&create_ops, &inside)}, 1);
    struct tn_processor *outer =
        chain_of((struct tn_processor *[]){make(&default_ops, &before), inner,
                                           make(&default_ops, &after)},
                 3);

    cr_assert_eq(call(outer, IN_CREATE), TN_STOP);
    cr_assert_str_eq(before.letters, "*");
    cr_assert_str_eq(inside.letters, "c");
    cr_assert_str_eq(after.letters, "");
    cr_assert_eq(call(outer, IN_DELETE), 0);
    cr_assert_str_eq(after.letters, "*");
    tn__processor_flush(outer);
    cr_assert_str_eq(inside.letters, "cF");
    cr_assert_eq(inside.releases, 0);
    tn_processor_unref(outer);
    cr_assert_eq(inside.releases, 1);
}

Test(chain, refuses_bad_members)
{
    struct trace trace = {0};
    struct tn_processor *members[2] = {make(&create_ops, &trace), NULL};
    struct tn_processor *chain = NULL;

    cr_assert_eq(tn_processor_new_chain(members, 2, &chain), -EINVAL);
    cr_assert_eq(tn_processor_new_chain(NULL, 1, &chain), -EINVAL);
    cr_assert_eq(tn_processor_new_chain(members, 1, NULL), -EINVAL);
    cr_assert_null(chain);
    tn_processor_unref(members[0]);
    cr_assert_eq(trace.releases, 1);
}

static bool is_create(const struct tn_event *event, void *userdata)
{
    note(userdata, '?');
    return (event->mask & IN_CREATE) != 0;
}

Test(processor_if, ends_the_chain_unless_true)
{
    struct trace trace = {0};
    struct tn_processor *test = NULL;

    cr_assert_eq(tn_processor_new_if(is_create, &trace, on_release, &test), 0);
    struct tn_processor *chain =
        chain_of((struct tn_processor *[]){test, make(&default_ops, &trace)}, 2);
    cr_assert_eq(call(chain, IN_CREATE), 0);
    cr_assert_str_eq(trace.letters, "?*");
    cr_assert_eq(call(chain, IN_DELETE), TN_STOP);
    cr_assert_str_eq(trace.letters, "?*?");
    tn_processor_unref(chain);
    cr_assert_eq(trace.releases, 2);
}

Test(processor_if, passing_is_not_handling)
{
    struct tn_processor_ops ops = {.size = sizeof(ops), .process_delete = on_delete};
    struct trace trace = {0};
    struct tn_processor *test = NULL;

    cr_assert_eq(tn_processor_new_if(is_create, &trace, NULL, &test), 0);
    struct tn_processor *chain = chain_of((struct tn_processor *[]){test, make(&ops, &trace)}, 2);
    cr_assert(is_unhandled(chain, IN_CREATE));
    cr_assert_not(is_unhandled(chain, IN_DELETE));
    tn_processor_unref(chain);
    cr_assert_eq(tn_processor_new_if(NULL, &trace, NULL, &test), -EINVAL);
    cr_assert_eq(tn_processor_new_if(is_create, &trace, NULL, NULL), -EINVAL);
}

Test(print, writes_a_line_at_once)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    struct tn_processor *print = NULL;
    struct tn_event event = {.wd = 1, .mask = IN_OPEN, .path = "/a\nb", .pathname = "/a\nb"};
    char line[256];

    cr_assert_eq(tn_processor_new_print(NULL, &print), -EINVAL);
    cr_assert_eq(tn_processor_new_print(out, &print), 0);
    cr_assert_eq(tn_processor_call(print, &event), 0);
    tn_event_format(&event, line, sizeof(line));
    cr_assert_eq(length, strlen(line) + 1);
    cr_assert_eq(strncmp(text, line, strlen(line)), 0);
    cr_assert_eq(text[length - 1], '\n');
    tn_processor_unref(print);
    fclose(out);
    free(text);
}

Test(print, writes_long_lines_whole)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    struct tn_processor *print = NULL;

    cr_assert_eq(tn_processor_new_print(out, &print), 0);
    for (size_t size = 900; size < 1100; size++) {
        char *name = malloc(size + 1);
        struct tn_event event = {.wd = 1, .mask = IN_OPEN, .path = "/", .name = name};
        size_t before = length;

        memset(name, 'n', size);
        name[size] = '\0';
        cr_assert_eq(tn_processor_call(print, &event), 0);
        cr_assert_eq(length - before, tn_event_format(&event, NULL, 0) + 1);
        cr_assert_eq(strcmp(text + length - strlen(" path=/ wd=1 >\n"), " path=/ wd=1 >\n"), 0);
        free(name);
    }
    tn_processor_unref(print);
    fclose(out);
    free(text);
}

Test(print, tells_that_it_could_not_write)
{
    FILE *out = fopen("/dev/full", "we");
    struct tn_processor *print = NULL;

    cr_assert_not_null(out);
    cr_assert_eq(tn_processor_new_print(out, &print), 0);
    cr_assert_eq(call(print, IN_OPEN), -ENOSPC);
    tn_processor_unref(print);
    fclose(out);
}

static struct tn_processor *counted(void)
{
    struct tn_processor *stats = NULL;

    cr_assert_eq(tn_processor_new_stats(&stats), 0);
    for (int i = 0; i < 90; i++)
        call(stats, IN_CREATE);
    for (int i = 0; i < 10; i++)
        call(stats, IN_CREATE | IN_ISDIR);
    for (int i = 0; i < 50; i++)
        call(stats, IN_DELETE);
    call(stats, IN_Q_OVERFLOW);
    call(stats, 0);
    return stats;
}

static const char expected[] =
    "<Stats ElapsedTime=0sec IN_CREATE=100 IN_DELETE=50 IN_ISDIR=10 IN_Q_OVERFLOW=1 IN_UNKNOWN=1 "
    ">\n"
    "IN_CREATE                 @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@ 100\n"
    "IN_DELETE                 @@@@@@@@@@@@@@@@@@@@@@                        50\n"
    "IN_ISDIR                  @@@@                                          10\n"
    "IN_Q_OVERFLOW                                                           1\n"
    "IN_UNKNOWN                                                              1\n";

/* The text without the seconds, which are 0 or a few. */
static const char *rest_of(const char *text)
{
    const char *at = strstr(text, "sec ");

    cr_assert_eq(strncmp(text, "<Stats ElapsedTime=", strlen("<Stats ElapsedTime=")), 0);
    cr_assert_not_null(at);
    return at;
}

Test(processor_stats, formats_counts_and_bars)
{
    struct tn_processor *stats = counted();
    char text[4096];
    size_t length = tn_processor_stats_format(stats, text, sizeof(text));

    cr_assert_eq(strlen(text), length);
    cr_assert_str_eq(rest_of(text), rest_of(expected));
    cr_assert_eq(tn_processor_stats_format(stats, NULL, 0), length);
    cr_assert_eq(tn_processor_stats_format(stats, text, 7), length);
    cr_assert_str_eq(text, "<Stats");
    tn_processor_unref(stats);
}

Test(processor_stats, every_kind_has_its_own_counter)
{
    struct tn_processor *stats = NULL;
    char text[4096], field[64];

    cr_assert_eq(tn_processor_new_stats(&stats), 0);
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++)
        for (size_t j = 0; j <= i; j++)
            call(stats, masks[i]);
    cr_assert_lt(tn_processor_stats_format(stats, text, sizeof(text)), sizeof(text));
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        snprintf(field, sizeof(field), " %s=%zu ", tn_mask_name(masks[i]), i + 1);
        cr_assert_not_null(strstr(text, field), "%s in\n%s", field, text);
    }
    tn_processor_unref(stats);
}

static void *count_many(void *argument)
{
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 1000000; i++)
        call(argument, IN_MODIFY);
    return NULL;
}

Test(processor_stats, counts_for_all_threads)
{
    struct tn_processor *stats = NULL;
    pthread_t threads[4];
    char text[4096];

    cr_assert_eq(tn_processor_new_stats(&stats), 0);
    pthread_barrier_init(&barrier, NULL, 4);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count_many, stats), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    tn_processor_stats_format(stats, text, sizeof(text));
    cr_assert_not_null(strstr(text, " IN_MODIFY=4000000 >"), "%s", text);
    tn_processor_unref(stats);
}

Test(processor_stats, dumps_into_a_new_private_file)
{
    struct tn_processor *stats = counted();
    char root[] = "/tmp/tn-stats-XXXXXX";
    char file[64], link[64], text[4096];
    struct stat status;

    cr_assert_not_null(mkdtemp(root));
    snprintf(file, sizeof(file), "%s/dump", root);
    snprintf(link, sizeof(link), "%s/link", root);
    cr_assert_eq(symlink(file, link), 0);
    cr_assert_lt(tn_processor_stats_dump(stats, link), 0);
    cr_assert_eq(access(file, F_OK), -1);
    cr_assert_eq(tn_processor_stats_dump(stats, file), 0);
    cr_assert_eq(tn_processor_stats_dump(stats, file), -EEXIST);
    cr_assert_eq(stat(file, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    FILE *in = fopen(file, "re");
    cr_assert_not_null(in);
    text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
    fclose(in);
    cr_assert_str_eq(rest_of(text), rest_of(expected));
    cr_assert_eq(tn_processor_stats_dump(stats, "/nowhere/at/all"), -ENOENT);
    unlink(link);
    unlink(file);
    rmdir(root);
    tn_processor_unref(stats);
}

Test(processor_stats, knows_its_own_kind)
{
    struct trace trace = {0};
    struct tn_processor *other = make(&default_ops, &trace);
    struct tn_processor *stats = counted();
    char text[16] = "x";

    cr_assert_eq(tn_processor_stats_dump(other, "/tmp/never"), -EINVAL);
    cr_assert_eq(tn_processor_stats_dump(NULL, "/tmp/never"), -EINVAL);
    cr_assert_eq(tn_processor_stats_dump(stats, NULL), -EINVAL);
    cr_assert_eq(tn_processor_stats_format(other, text, sizeof(text)), 0);
    cr_assert_str_eq(text, "");
    cr_assert_eq(tn_processor_stats_format(NULL, NULL, 0), 0);
    cr_assert_eq(tn_processor_new_stats(NULL), -EINVAL);
    tn_processor_unref(stats);
    tn_processor_unref(other);
}
