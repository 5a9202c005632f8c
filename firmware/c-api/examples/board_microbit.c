/* The serial line of a BBC micro:bit, version 1: by Nordic's nRF51 Series Reference Manual. */

#include "board.h"

#include <stdint.h>

#define REGISTER(offset) (*(volatile uint32_t *)(UINT32_C(0x40002000) + (offset)))
#define START_TRANSMIT REGISTER(0x008u)
#define TRANSMITTED REGISTER(0x11cu)
#define ENABLE REGISTER(0x500u)
#define DATA REGISTER(0x51cu)

void board_send(const char *text)
{
    ENABLE = 4u;
    START_TRANSMIT = 1u;
    for (; *text != '\0'; text++) {
        TRANSMITTED = 0u;
        DATA = (uint8_t)*text;
        while (TRANSMITTED == 0u) {
        }
    }
}
