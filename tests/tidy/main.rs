//! Rules of the code base that the compiler does not check.
