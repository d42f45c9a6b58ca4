/*
 * For coverage: what a forked child runs counts. An _exit writes no counts, and
 * gcc's own fork sets those of the child to 0 after the handlers of
 * pthread_atfork have run in it. The linker puts these in their places.
 */
#include <sys/types.h>
#include <unistd.h>

void __gcov_dump(void);
void __gcov_reset(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
pid_t __wrap___gcov_fork(void);

_Noreturn void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}

/* Written and set to 0 before, so that the child's begin there. */
pid_t __wrap___gcov_fork(void)
{
    __gcov_dump();
    __gcov_reset();
    return (fork)();
}
