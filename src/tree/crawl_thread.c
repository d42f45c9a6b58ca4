/*
 * A crawl on a thread of its own, with a working directory of its own, and the
 * caller that waits for it and runs what it is asked to.
 */
#include "tree/crawl.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

struct tn__crawl {
    int fd;
    uint32_t id;
    const struct tn__crawl_ops *ops;
    void *context;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t asked; /* call is set, or done */
    pthread_cond_t answered;
    int (*call)(void *arg);
    void *arg;
    int answer;
    bool done;
    int result;
};

/* Of a crawl thread: its crawl. */
static _Thread_local struct tn__crawl *current;

int tn__crawl_in_caller(int (*fn)(void *arg), void *arg)
{
    struct tn__crawl *crawl = current;
    int answer;

    if (!crawl)
        return fn(arg);
    pthread_mutex_lock(&crawl->lock);
    crawl->call = fn;
    crawl->arg = arg;
    pthread_cond_signal(&crawl->asked);
    while (crawl->call)
        pthread_cond_wait(&crawl->answered, &crawl->lock);
    answer = crawl->answer;
    pthread_mutex_unlock(&crawl->lock);
    return answer;
}

bool tn__crawl_own_cwd(void)
{
    return unshare(CLONE_FS) == 0;
}

static void *crawl_thread(void *arg)
{
    struct tn__crawl *crawl = arg;
    int result;

    pthread_setname_np(pthread_self(), "tn-crawl");
    current = crawl;
    result = tn__crawl_walk(crawl->fd, crawl->id, tn__crawl_own_cwd(), crawl->ops, crawl->context);
    pthread_mutex_lock(&crawl->lock);
    crawl->result = result;
    crawl->done = true;
    pthread_cond_signal(&crawl->asked);
    pthread_mutex_unlock(&crawl->lock);
    return NULL;
}

/* The application's signals are not for the library's threads. */
static int start_thread(struct tn__crawl *crawl, pthread_t *ret_thread)
{
    sigset_t all, old;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(ret_thread, NULL, crawl_thread, crawl);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -error;
}

static void serve(struct tn__crawl *crawl)
{
    pthread_mutex_lock(&crawl->lock);
    while (!crawl->done) {
        int (*call)(void *) = crawl->call;
        if (!call) {
            pthread_cond_wait(&crawl->asked, &crawl->lock);
            continue;
        }
        pthread_mutex_unlock(&crawl->lock);
        int answer = call(crawl->arg);
        pthread_mutex_lock(&crawl->lock);
        crawl->answer = answer;
        crawl->call = NULL;
        pthread_cond_signal(&crawl->answered);
    }
    pthread_mutex_unlock(&crawl->lock);
}

/* The crawl lives on this stack, so a cancellation of the caller has to wait. */
int tn__crawl_run(int fd, uint32_t id, const struct tn__crawl_ops *ops, void *context)
{
    struct tn__crawl crawl = {
        .fd = fd,
        .id = id,
        .ops = ops,
        .context = context,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .asked = PTHREAD_COND_INITIALIZER,
        .answered = PTHREAD_COND_INITIALIZER,
    };
    pthread_t thread;
    int cancel_state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    if (start_thread(&crawl, &thread) < 0) {
        crawl.result = tn__crawl_walk(fd, id, false, ops, context);
    } else {
        serve(&crawl);
        pthread_join(thread, NULL);
    }
    pthread_setcancelstate(cancel_state, &cancel_state);
    pthread_cond_destroy(&crawl.answered);
    pthread_cond_destroy(&crawl.asked);
    pthread_mutex_destroy(&crawl.lock);
    return crawl.result;
}
