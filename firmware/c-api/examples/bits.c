/* Numbers over the serial line. */

#include "board.h"

#include <stdint.h>

void board_send_bits(float value)
{
    union {
        float value;
        uint32_t bits;
    } word;
    char text[10];
    int digit;

    word.value = value;
    text[0] = ' ';
    for (digit = 0; digit < 8; digit++) {
        text[1 + digit] = "0123456789abcdef"[(word.bits >> (28 - 4 * digit)) & 15u];
    }
    text[9] = '\0';
    board_send(text);
}
