//! Who has to be looked at: wakers for the futures of HTTP/2 that write a number into a list of
//! their thread, without a count, a lock or an allocation.

use std::cell::RefCell;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// Names a stream of a connection, or the connection itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generator) struct Token {
    pub connection: u32,
    /// [`Token::WHOLE`]: the connection.
    pub stream: u32,
}

impl Token {
    pub const WHOLE: u32 = u32::MAX;

    pub fn connection(connection: u32) -> Token {
        Token { connection, stream: Token::WHOLE }
    }

    /// A waker that puts this token on the list of the thread it is woken on. All futures of a
    /// worker are made, polled and woken on its own thread.
    pub fn waker(self) -> Waker {
        let word = u64::from(self.connection) << 32 | u64::from(self.stream);
        let data = std::ptr::without_provenance(usize::try_from(word).expect("a 64-bit machine"));
        // SAFETY: the functions of the table take the pointer for a number and never follow it, so
        // that it may be copied, sent and dropped at will; the list they write to is the thread's.
        unsafe { Waker::new(data, &TABLE) }
    }
}

thread_local! {
    static WOKEN: RefCell<Vec<Token>> = const { RefCell::new(Vec::new()) };
}

static TABLE: RawWakerVTable =
    RawWakerVTable::new(|data| RawWaker::new(data, &TABLE), wake, wake, |_| {});

fn wake(data: *const ()) {
    let word = data.addr() as u64;
    let token = Token { connection: (word >> 32) as u32, stream: word as u32 };
    WOKEN.with_borrow_mut(|woken| woken.push(token));
}

/// Whether anything on this thread waits to be looked at.
pub(in crate::generator) fn is_any() -> bool {
    WOKEN.with_borrow(|woken| !woken.is_empty())
}

/// Exchanges the thread's list for `empty`.
pub(in crate::generator) fn take(empty: &mut Vec<Token>) {
    debug_assert!(empty.is_empty());
    WOKEN.with_borrow_mut(|woken| std::mem::swap(woken, empty));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_woken_is_listed_once_for_each_time() {
        let stream = Token { connection: 7, stream: 3 };
        let waker = stream.waker();
        let _ = waker.clone();
        waker.wake_by_ref();
        Token::connection(u32::MAX - 1).waker().wake_by_ref();
        assert!(is_any());
        let mut woken = Vec::new();
        take(&mut woken);
        assert_eq!(woken, [stream, Token::connection(u32::MAX - 1)]);
        assert!(!is_any());
    }
}
