/* The serial line of ARM's MPS2 boards: CMSDK UART 0, by ARM's application notes AN385 and AN386. */

#include "board.h"

#include <stdint.h>

#define REGISTER(offset) (*(volatile uint32_t *)(UINT32_C(0x40004000) + (offset)))
#define DATA REGISTER(0x00u)
#define STATE REGISTER(0x04u)
#define CONTROL REGISTER(0x08u)
#define BAUD_DIVIDER REGISTER(0x10u)

#define STATE_FULL 1u
#define CONTROL_TRANSMIT 1u

void board_send(const char *text)
{
    /* The smallest divider that the UART takes; an emulated line has no speed. */
    BAUD_DIVIDER = 16u;
    CONTROL = CONTROL_TRANSMIT;
    for (; *text != '\0'; text++) {
        while ((STATE & STATE_FULL) != 0u) {
        }
        DATA = (uint8_t)*text;
    }
}
