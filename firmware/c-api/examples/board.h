/* What the example asks of a board: board_mps2.c and board_microbit.c have it. */
#ifndef BOARD_H
#define BOARD_H

/* Sends text over the serial line; waits for the line. */
void board_send(const char *text);

#endif
