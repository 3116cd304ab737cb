//! Counts calls of the allocator from outside, in any program of glibc: `LD_PRELOAD=liballocations.so ALLOCATIONS=FILE program`
//! writes their number to FILE when the program ends. What a contender is built with stays as it is.

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static CALLS: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(memory: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
}

/// # Safety
/// As `malloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    CALLS.fetch_add(1, Relaxed);
    // SAFETY: the caller's.
    unsafe { __libc_malloc(size) }
}

/// # Safety
/// As `calloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    CALLS.fetch_add(1, Relaxed);
    // SAFETY: the caller's.
    unsafe { __libc_calloc(count, size) }
}

/// # Safety
/// As `realloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(memory: *mut c_void, size: usize) -> *mut c_void {
    CALLS.fetch_add(1, Relaxed);
    // SAFETY: the caller's.
    unsafe { __libc_realloc(memory, size) }
}

/// # Safety
/// As `aligned_alloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    CALLS.fetch_add(1, Relaxed);
    // SAFETY: the caller's.
    unsafe { __libc_memalign(align, size) }
}

/// # Safety
/// As `posix_memalign`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(at: *mut *mut c_void, align: usize, size: usize) -> c_int {
    CALLS.fetch_add(1, Relaxed);
    // SAFETY: the caller's.
    let memory = unsafe { __libc_memalign(align, size) };
    if memory.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller says that it can be written.
    unsafe { *at = memory };
    0
}

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_THE_END: extern "C" fn() = write;

/// Without the standard library, which has ended by now.
extern "C" fn write() {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut calls = CALLS.load(Relaxed);
    loop {
        at -= 1;
        digits[at] = b'0' + (calls % 10) as u8;
        calls /= 10;
        if calls == 0 {
            break;
        }
    }
    // SAFETY: the strings end with zero, and the digits are as long as said.
    unsafe {
        let path: *const c_char = libc::getenv(c"ALLOCATIONS".as_ptr());
        if path.is_null() {
            return;
        }
        let file = libc::open(path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, 0o644);
        if file >= 0 {
            _ = libc::write(file, digits[at..].as_ptr().cast(), digits.len() - at);
            _ = libc::close(file);
        }
    }
}
