/* fiber.c - stacks by ucontext. The address sanitizer is told of every switch. */
#include "fiber.h"

#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "base/assert.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_BYTES ((size_t)1024 * 1024) /* SQLite with sanitizers takes some */
#define STACKS_KEPT 64

struct fiber {
    ucontext_t context;
    uint8_t *stack;
    fiber_fn *run;
    void *data;
    bool has_begun, has_ended;
    void *fake; /* of the sanitizer */
};

static struct {
    ucontext_t context; /* the main stack, while a fiber runs */
    struct fiber *running;
    const void *bottom;
    size_t bytes;
    uint8_t *kept[STACKS_KEPT];
    size_t kept_count;
} main_stack;

/* Before a switch: where to. save: NULL, this stack is never seen again. */
static void switch_begin(void **save, const void *bottom, size_t bytes)
{
#ifdef HAS_ASAN
    __sanitizer_start_switch_fiber(save, bottom, bytes);
#else
    (void)save;
    (void)bottom;
    (void)bytes;
#endif
}

static void switch_end(void *saved, const void **bottom, size_t *bytes)
{
#ifdef HAS_ASAN
    __sanitizer_finish_switch_fiber(saved, bottom, bytes);
#else
    (void)saved;
    (void)bottom;
    (void)bytes;
#endif
}

static void fiber_main(void)
{
    struct fiber *f = main_stack.running;

    switch_end(NULL, &main_stack.bottom, &main_stack.bytes);
    f->run(f->data);
    f->has_ended = true;
    switch_begin(NULL, main_stack.bottom, main_stack.bytes);
    (void)setcontext(&main_stack.context);
    MU_UNREACHABLE_CODE();
}

struct fiber *fiber_new(fiber_fn *run, void *data)
{
    struct fiber *f = mu_new(sizeof *f);

    f->run = run;
    f->data = data;
    f->stack =
        main_stack.kept_count > 0 ? main_stack.kept[--main_stack.kept_count] : mu_new(STACK_BYTES);
#ifdef HAS_ASAN
    __asan_unpoison_memory_region(f->stack, STACK_BYTES); /* the last one on it ended at a call */
#endif
    MU_ASSERT(getcontext(&f->context) == 0);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK_BYTES;
    f->context.uc_link = NULL;
    makecontext(&f->context, fiber_main, 0);
    return f;
}

void fiber_free(struct fiber *f)
{
    if (f == NULL) {
        return;
    }
    MU_ASSERT(f->has_ended || !f->has_begun);
    if (main_stack.kept_count < STACKS_KEPT) {
        main_stack.kept[main_stack.kept_count++] = f->stack;
    } else {
        mu_free(f->stack);
    }
    mu_free(f);
}

void fiber_resume(struct fiber *f)
{
    void *fake = NULL;

    MU_ASSERT(main_stack.running == NULL && !f->has_ended);
    f->has_begun = true;
    main_stack.running = f;
    switch_begin(&fake, f->stack, STACK_BYTES);
    MU_ASSERT(swapcontext(&main_stack.context, &f->context) == 0);
    switch_end(fake, NULL, NULL);
    main_stack.running = NULL;
}

bool fiber_has_ended(const struct fiber *f)
{
    return f->has_ended;
}

struct fiber *fiber_self(void)
{
    return main_stack.running;
}

void fiber_sleep(void)
{
    struct fiber *f = main_stack.running;

    MU_ASSERT(f != NULL);
    switch_begin(&f->fake, main_stack.bottom, main_stack.bytes);
    MU_ASSERT(swapcontext(&f->context, &main_stack.context) == 0);
    switch_end(f->fake, &main_stack.bottom, &main_stack.bytes);
}

void fiber_stacks_free(void)
{
    while (main_stack.kept_count > 0) {
        mu_free(main_stack.kept[--main_stack.kept_count]);
    }
}
