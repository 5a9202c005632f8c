/* From reset to main, for any Cortex-M without a C library; main's result ends the emulator by semihosting. */

#include <stdint.h>

/* From sections.ld. */
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];

int main(void);
void reset(void);
void fault(void);

#ifdef __ARM_FP
#define COPROCESSORS (*(volatile uint32_t *)UINT32_C(0xe000ed88))
#endif

/* SYS_EXIT_EXTENDED, with ADP_Stopped_ApplicationExit as the reason: Arm's "Semihosting for AArch32 and AArch64". */
static void leave(uint32_t code)
{
    uint32_t block[2] = {0x20026u, 0u};
    register uint32_t operation __asm__("r0") = 0x20u;
    register uint32_t *argument __asm__("r1") = block;

    block[1] = code;
    for (;;) {
        __asm__ volatile("bkpt 0xab" : "+r"(operation) : "r"(argument) : "memory");
    }
}

void reset(void)
{
    uint32_t *to;
    const uint32_t *from = data_load;

    for (to = data_start; to < data_end; to++) {
        *to = *from++;
    }
    for (to = bss_start; to < bss_end; to++) {
        *to = 0u;
    }
#ifdef __ARM_FP
    COPROCESSORS |= 0xfu << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    leave((uint32_t)main());
}

void fault(void)
{
    leave(102u);
}

/* Stack, reset, NMI, hard fault; on cores that have more faults, these too. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {stack_top, {reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault}};
