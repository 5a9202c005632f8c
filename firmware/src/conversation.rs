//! A binary that the host asks: it answers the job in the board's memory over the serial line, and leaves.

use flowlet_protocol::{error_code, frame, Message, Refusal};

use crate::board::{self, Board, Uart};
use crate::exit_code;

/// Takes the board, has the job answered, and leaves; a refusal is sent.
pub fn serve(answer: impl FnOnce(&mut Board) -> Result<(), Refusal>) -> ! {
    let Some(mut board) = Board::take() else { board::exit(exit_code::FAILED) };
    if let Err(refusal) = answer(&mut board) {
        send(&mut board.uart, &Message::Refused(refusal));
    }
    board::exit(exit_code::DONE)
}

/// Sends a message in a frame of its own.
pub fn send(uart: &mut Uart, message: &Message) {
    if let Ok(frame) = frame::encode(message) {
        uart.send(&frame);
    }
}

/// The refusal of an image.
pub fn image_error(error: flowlet::Error) -> Refusal {
    Refusal::Image(error_code(error))
}
