//! What a program itself found wrong with a connection: an error of its own among those of the library.

use std::fmt;

use super::error::Error;

/// What a program found wrong with a connection that the library has nothing against: its subscription was not answered, its
/// token is not taken. Made by [`Error::passing`] and [`Error::lasting`]; `Display` is that of the program's own error.
pub struct ProgramError {
    cause: Box<dyn std::error::Error + Send + Sync>,
    pub(super) is_lasting: bool,
}

impl ProgramError {
    /// The program's own error, to be asked for its type (`downcast_ref`).
    pub fn cause(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.cause
    }
}

impl Error {
    /// An error of the program's own, or a text, that another attempt may not meet again: [`is_retryable`](Self::is_retryable) is true.
    ///
    /// ```
    /// use aiowebsocket::Error;
    ///
    /// let error = Error::passing("nobody answered the subscription");
    /// assert!(error.is_retryable());
    /// assert_eq!(error.to_string(), "nobody answered the subscription");
    /// ```
    pub fn passing(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Program(Box::new(ProgramError { cause: cause.into(), is_lasting: false }))
    }

    /// The same of one that every other attempt would meet again: [`Reconnecting`](crate::Reconnecting) makes none.
    pub fn lasting(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Program(Box::new(ProgramError { cause: cause.into(), is_lasting: true }))
    }
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl fmt::Debug for ProgramError {
    /// What `Display` says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProgramError({self})")
    }
}

impl std::error::Error for ProgramError {
    /// What is behind the program's own error, which `Display` has said.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}
