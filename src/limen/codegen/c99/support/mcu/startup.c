/* From reset to main on an emulated Cortex-M4, and what becomes of a fault. */
#include <stdint.h>

#include "report.h"
#include "semihost.h"
#include "startup.h"

extern uint32_t startup_stack_bottom[], startup_stack_top[], startup_spare_stack_top[];
extern uint32_t startup_last_frame[];
extern uint32_t startup_data_begin[], startup_data_end[], startup_data_image[];
extern uint32_t startup_bss_begin[], startup_bss_end[];

int main(void);
void Reset_Handler(void);
void startup_fault(void);
void startup_report_fault(const uint32_t *frame);

enum { VECTORS = 16, PAINT = 0x5aa5c33c, FAULT_EXIT = 70 };

/* The first entry is the stack pointer, which a function's type cannot say. */
typedef union {
    uint32_t *stack;
    void (*handler)(void);
} startup_vector;

extern const startup_vector startup_vectors[VECTORS];
const startup_vector startup_vectors[VECTORS] __attribute__((section(".vectors"), used)) = {
    {startup_stack_top},
    {.handler = Reset_Handler},
    {.handler = startup_fault},
    {.handler = startup_fault},
    {.handler = startup_fault},
    {.handler = startup_fault},
    {.handler = startup_fault},
};

/* What lies below the stack takes writes without complaint in the emulator: forbid it. */
static void startup_guard_stack(void)
{
    volatile uint32_t *const protection = (volatile uint32_t *)0xe000ed90u;
    enum { CONTROL = 1, NUMBER = 2, BASE = 3, FORM = 4 };
    protection[NUMBER] = 0;
    protection[BASE] = 0x10000000u;
    /* 2^28 bytes, no access, no instructions. */
    protection[FORM] = 1u << 28 | 27u << 1 | 1u;
    /* Everywhere else as without protection. */
    protection[CONTROL] = 1u << 2 | 1u;
}

void Reset_Handler(void)
{
    volatile uint32_t *const coprocessors = (volatile uint32_t *)0xe000ed88u;
    /* The FPU is off after a reset: the first instruction of it would fault. */
    *coprocessors |= 0xfu << 20;
    startup_guard_stack();
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    uint32_t *in_use;
    __asm__ volatile("mov %0, sp" : "=r"(in_use));
    for (volatile uint32_t *word = startup_stack_bottom; word != in_use; word++) {
        *word = PAINT;
    }
    const volatile uint32_t *image = startup_data_image;
    for (volatile uint32_t *word = startup_data_begin; word != startup_data_end; word++) {
        *word = *image++;
    }
    for (volatile uint32_t *word = startup_bss_begin; word != startup_bss_end; word++) {
        *word = 0;
    }
    semihost_exit(main());
}

uint32_t startup_stack_used(void)
{
    const volatile uint32_t *word = startup_stack_bottom;
    while (word != startup_stack_top && *word == PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)startup_stack_top - (uintptr_t)word);
}

/* The stack may be what is broken: the report gets another one. */
__attribute__((naked)) void startup_fault(void)
{
    __asm__ volatile("mrs r0, msp\n\t"
                     "ldr r1, =startup_spare_stack_top\n\t"
                     "msr msp, r1\n\t"
                     "b startup_report_fault");
}

void startup_report_fault(const uint32_t *frame)
{
    const volatile uint32_t *const status = (const volatile uint32_t *)0xe000ed28u;
    const volatile uint32_t *const hard = (const volatile uint32_t *)0xe000ed2cu;
    const volatile uint32_t *const memory = (const volatile uint32_t *)0xe000ed34u;
    const volatile uint32_t *const bus = (const volatile uint32_t *)0xe000ed38u;
    /* Ahead of anything that was being written when it happened. */
    report_line();
    report_text("F ");
    report_number(*status);
    report_text(" ");
    report_number(*hard);
    report_text(" ");
    report_number(*memory);
    report_text(" ");
    report_number(*bus);
    report_text(" ");
    if (frame >= startup_stack_bottom && frame <= startup_last_frame) {
        report_number(frame[6]);
        report_text(" ");
        report_number(frame[5]);
    } else {
        report_text("0 0");
    }
    report_line();
    semihost_exit(FAULT_EXIT);
}
