/* What the examples ask of a board: board_mps2.c and board_microbit.c have it. */
#ifndef BOARD_H
#define BOARD_H

/* Sends text over the serial line; waits for the line. */
void board_send(const char *text);

/* Sends a blank and the bits of a float in hexadecimal; bits.c has it, for every board. */
void board_send_bits(float value);

#endif
