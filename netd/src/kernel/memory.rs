//! What the allocator keeps for itself.

/// Lets threads share the heap: one for each of them holds what a connection once needed, for as long as netd lives.
/// Before the first thread.
pub fn share_heap() {
    // SAFETY: sets a number in the allocator (mallopt(3)).
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives memory back that nothing uses.
pub fn give_back() {
    // SAFETY: touches nothing that is in use (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
}
