/*
 * Adding: the caller's thread checks what is asked and places the root; what is
 * below it is below.c's.
 */
#include "registry/add.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter.h"
#include "notifier.h"
#include "options.h"
#include "processor/processor.h"
#include "queue/lane.h"
#include "tree/crawl.h"
#include "tree/path.h"

int tn__mask_check(uint32_t mask, uint32_t also)
{
    const uint32_t asked = TN__MASK_ASKED;

    if (mask & ~(asked | TN__MASK_FLAGS | also))
        return -EINVAL;
    return mask & (asked & ~(uint32_t)(IN_ISDIR | IN_IGNORED)) ? 0 : -EINVAL;
}

void tn__registry_note_processor(struct tn__registry *registry,
                                 const struct tn_processor *processor)
{
    if (processor && (processor->flush || processor->is_chain))
        tn__store(&registry->flushers, true, release);
}

static int check_options(const struct tn_watch_options *options)
{
    int result = tn__mask_check(options->mask, 0);

    if (result < 0)
        return result;
    if (options->flags &
            ~(TN_WATCH_TREE | TN_WATCH_EXISTING | TN_WATCH_SNAPSHOT | TN_WATCH_FOLLOW_NAME) ||
        options->order > TN_ORDER_NONE)
        return -EINVAL;
    return 0;
}

static bool is_deep(const struct tn__adding *adding)
{
    return adding->is_dir && adding->policy->flags & TN_WATCH_RECURSIVE;
}

static bool is_young(const struct tn__adding *adding)
{
    return is_deep(adding) || tn__adding_existing(adding) || adding->add->name ||
           adding->policy->flags & TN_WATCH_SNAPSHOT;
}

static int place_root(struct tn__adding *adding, tn_wd *ret_wd)
{
    struct tn__registry *registry = adding->registry;
    struct tn__add *add = adding->add;
    struct tn__attach attach = {.policy = adding->policy,
                                .marked = !tn__adding_existing(adding),
                                .untold = tn__adding_existing(adding),
                                .left_out = adding->left_out,
                                .is_dir = adding->is_dir,
                                .ret_wd = ret_wd};
    const uint32_t mask = tn__policy_kernel_mask(adding->policy, true) & ~adding->left_out;
    uint32_t id;
    int result = -ENOMEM;

    tn__registry_lock(registry);
    if (adding->options->mask & IN_ONESHOT && tn__registry_reserve_guard_locked(registry, add) < 0)
        goto no_memory;
    adding->shuffles = tn__load(&registry->shuffles, relaxed);
    if (add->order == TN_ORDER_TREE)
        add->lane = tn__lanes_alloc(registry->lanes);
    if (add->lane || add->order != TN_ORDER_TREE)
        add->root_node =
            tn__node_new_locked(&registry->tree, 0, adding->path, strlen(adding->path));
    if (add->root_node) {
        attach.node = add->root_node;
        result = tn__registry_place_locked(registry, adding->fd, NULL, mask, &attach.placed);
        if (result == 0) {
            result = tn__registry_attach_locked(registry, &attach, &id);
            if (result < 0 && attach.placed.fresh)
                registry->source->ops->unwatch(registry->source, attach.placed.key);
        }
        if (result < 0)
            tn__node_free_locked(&registry->tree, add->root_node);
        else if (is_young(adding))
            tn__registry_begin_young_locked(registry, add);
    }
no_memory:
    tn__registry_unlock(registry);
    adding->stands = result == 0;
    adding->top = add->root;
    return result;
}

/* A relative path is opened again later, when the working directory may be another. */
char *tn__path_absolute(const char *path)
{
    if (*path == '/')
        return strdup(path);
    char *here = getcwd(NULL, 0);
    char *whole = here ? malloc(strlen(here) + strlen(path) + 2) : NULL;
    if (whole)
        stpcpy(stpcpy(stpcpy(whole, here), "/"), path);
    free(here);
    return whole;
}

static int open_root(struct tn__adding *adding)
{
    const uint32_t mask = adding->options->mask;
    char *copy = strdup(adding->path);

    if (!copy)
        return -ENOMEM;
    int flags =
        O_PATH | (mask & IN_DONT_FOLLOW ? O_NOFOLLOW : 0) | (mask & IN_ONLYDIR ? O_DIRECTORY : 0);
    adding->fd = tn__registry_open_path(copy, flags);
    free(copy);
    if (adding->fd < 0)
        return adding->fd;
    return tn__adding_check(adding);
}

int tn__adding_check(struct tn__adding *adding)
{
    struct stat status;

    if (fstat(adding->fd, &status) < 0)
        return -errno;
    adding->is_dir = S_ISDIR(status.st_mode);
    bool excluded = adding->is_dir ? tn__filter_prunes(adding->filter, adding->path)
                                   : tn__filter_excludes(adding->filter, adding->path, false);
    return excluded ? -ECANCELED : 0;
}

static int prepare(struct tn__adding *adding, const char *path)
{
    const struct tn_watch_options *options = adding->options;
    enum tn_order order = options->order ? options->order : adding->registry->order;

    adding->path = malloc(strlen(path) + 1);
    adding->add = tn__add_new(options, order ? order : TN_ORDER_TREE);
    if (!adding->path || !adding->add)
        return -ENOMEM;
    tn__path_normalise(path, adding->path);
    adding->filter = options->filter ? options->filter : adding->registry->filter;
    const bool follows = options->flags & TN_WATCH_FOLLOW_NAME;
    int result = follows ? tn__open_name(adding) : open_root(adding);
    if (result < 0)
        return result;
    if (!follows)
        adding->add->open_path = tn__path_absolute(adding->path);
    uint32_t flags = adding->is_dir || follows ? options->flags : 0;
    adding->policy =
        tn__policy_new(adding->add, options->mask, flags, options->processor, options->filter);
    if (!adding->add->open_path || !adding->policy)
        return -ENOMEM;
    tn__registry_note_processor(adding->registry, options->processor);
    if (is_deep(adding) && options->mask & TN__TRACE_MASK) {
        adding->left_out = TN__TRACE_MASK;
        tn__store(&adding->registry->traces.asked, true, relaxed);
    }
    adding->quiet = tn__load(&adding->registry->traces.asked, relaxed);
    return 0;
}

/* All is placed, or the add fails. The marker tells the reader when it gets there. */
static int end_placing(const struct tn__adding *adding, int result)
{
    struct tn__registry *registry = adding->registry;
    struct tn__add *add = adding->add;

    tn__registry_lock(registry);
    if (result >= 0)
        result = tn__registry_mark_locked(registry, TN__MARK_PLACED, add->young_id);
    if (result < 0)
        add = tn__registry_take_young_locked(registry, add->young_id);
    if (result < 0 && adding->quiet)
        tn__trace_forget_locked(&registry->traces, adding->add, UINT64_MAX);
    tn__registry_unlock(registry);
    if (result < 0 && add)
        tn__add_unref(add);
    return result;
}

/*
 * Calls of what is taken back are waited for inside a callback too: they can
 * only wait in turn for calls of adds that they have made themselves.
 */
static int add_one(struct tn__registry *registry, const char *path,
                   const struct tn_watch_options *options, tn_wd *ret_wd)
{
    struct tn__adding adding = {.registry = registry, .options = options, .fd = -1, .parent = -1};
    const tn_wd before = ret_wd ? *ret_wd : 0;

    if (!*path)
        return -ENOENT;
    if (tn__load(&registry->closed, acquire))
        return -ESHUTDOWN;
    int result = prepare(&adding, path);
    if (result == 0)
        result = adding.add->name ? tn__place_name(&adding, ret_wd) : place_root(&adding, ret_wd);
    if (result == 0 && options->placed)
        result = options->placed(adding.path, adding.add->root, 0, options->data);
    if (result >= 0 && is_deep(&adding))
        result = tn__place_below(&adding);
    if (adding.stands && is_young(&adding))
        result = end_placing(&adding, result);
    if (result < 0 && ret_wd)
        *ret_wd = before;
    if (adding.add) {
        adding.add->silent = result < 0;
        if (result < 0 && adding.stands)
            tn__registry_kill_subtree(registry, adding.add->root, TN__WATCH_MUTE, true);
        tn__policy_unref(adding.policy);
        tn__add_drop(registry, adding.add);
    }
    if (adding.fd >= 0)
        close(adding.fd);
    if (adding.parent >= 0)
        close(adding.parent);
    free(adding.path);
    return result < 0 ? result : 0;
}

/* What all three need, copied. */
static int check_add(struct tn_notifier *notifier, const void *what,
                     const struct tn_watch_options *options, struct tn_watch_options *ret_own)
{
    int result = tn__notifier_check(notifier);

    if (result == 0 && (!what || !options))
        result = -EINVAL;
    if (result == 0)
        result = tn__options_copy(ret_own, sizeof(*ret_own), options);
    if (result == 0)
        result = check_options(ret_own);
    if (result == 0 && tn__load(&tn__notifier_registry(notifier)->closed, acquire))
        result = -ESHUTDOWN;
    return result;
}

int tn_watch_add(struct tn_notifier *notifier, const char *path,
                 const struct tn_watch_options *options, tn_wd *ret_wd)
{
    struct tn_watch_options own;
    int result = check_add(notifier, path, options, &own);

    return result != 0 ? result : add_one(tn__notifier_registry(notifier), path, &own, ret_wd);
}

int tn_watch_add_list(struct tn_notifier *notifier, const char *const *paths, size_t count,
                      const struct tn_watch_options *options, struct tn_watch_result *results)
{
    struct tn_watch_options own;
    int result = check_add(notifier, count ? (const void *)paths : "", options, &own);
    int placed = 0;

    if (result == 0 && count > INT32_MAX)
        result = -EINVAL;
    for (size_t i = 0; result == 0 && i < count; i++)
        result = paths[i] ? 0 : -EINVAL;
    if (result != 0)
        return result;
    for (size_t i = 0; i < count; i++) {
        tn_wd wd = -1;
        int error = add_one(tn__notifier_registry(notifier), paths[i], &own, &wd);
        placed += error == 0;
        if (results)
            results[i] = (struct tn_watch_result){.path = paths[i], .wd = wd, .error = error};
    }
    return placed;
}

static size_t add_matches(struct tn__registry *registry, const glob_t *matches,
                          const struct tn_watch_options *options)
{
    size_t placed = 0;

    for (size_t i = 0; i < matches->gl_pathc; i++) {
        int error = add_one(registry, matches->gl_pathv[i], options, NULL);
        placed += error == 0;
        if (error < 0 && options->placed)
            options->placed(matches->gl_pathv[i], -1, error, options->data);
    }
    return placed;
}

int tn_watch_add_glob(struct tn_notifier *notifier, const char *pattern,
                      const struct tn_watch_options *options, size_t *ret_count)
{
    struct tn_watch_options own;
    glob_t matches;
    int result = check_add(notifier, pattern, options, &own);

    if (result != 0)
        return result;
    int found = glob(pattern, GLOB_NOSORT, NULL, &matches);
    if (found != 0)
        return found == GLOB_NOSPACE ? -ENOMEM : -ENOENT;
    size_t placed = add_matches(tn__notifier_registry(notifier), &matches, &own);
    globfree(&matches);
    if (ret_count)
        *ret_count = placed;
    return 0;
}
