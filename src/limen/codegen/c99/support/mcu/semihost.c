#include "semihost.h"

#include <stdint.h>

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20 };

static const uintptr_t application_exit = 0x20026u;

static uintptr_t semihost_ask(uintptr_t what, uintptr_t with)
{
    register uintptr_t r0 __asm__("r0") = what;
    register uintptr_t r1 __asm__("r1") = with;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void semihost_write(const char *text)
{
    (void)semihost_ask(SYS_WRITE0, (uintptr_t)text);
}

void semihost_exit(int code)
{
    uintptr_t block[2];
    block[0] = application_exit;
    block[1] = (uintptr_t)code;
    (void)semihost_ask(SYS_EXIT_EXTENDED, (uintptr_t)block);
    for (;;) {
    }
}
