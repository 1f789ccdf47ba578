//! Giving memory back.

/// Drops this program's read-only file pages from its address space: they are read again from the page cache when they
/// are needed. A process that has done its start-up work and mostly waits keeps only what waiting takes.
pub fn forget_file_pages() {
    // SAFETY: the callback gets valid program headers of this process and only gives advice about read-only,
    // file-backed segments: their content is the file's, so that dropping pages loses nothing. Relocated data lies in
    // writable segments.
    unsafe { libc::dl_iterate_phdr(Some(forget_segments), std::ptr::null_mut()) };
}

unsafe extern "C" fn forget_segments(info: *mut libc::dl_phdr_info, _: usize, _: *mut libc::c_void) -> libc::c_int {
    const PAGE: usize = 4096;
    // SAFETY: dl_iterate_phdr passes a valid struct with `dlpi_phnum` headers.
    let (base, headers) =
        unsafe { ((*info).dlpi_addr, std::slice::from_raw_parts((*info).dlpi_phdr, (*info).dlpi_phnum.into())) };
    for header in headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0) {
        let start = (base + header.p_vaddr) as usize;
        // Whole pages of this segment only: a neighbour may be writable.
        let (from, to) = (start.next_multiple_of(PAGE), (start + header.p_filesz as usize) / PAGE * PAGE);
        if from < to {
            // SAFETY: the range lies in this segment, which is mapped from a file and not writable.
            unsafe { libc::madvise(from as *mut libc::c_void, to - from, libc::MADV_DONTNEED) };
        }
    }
    0
}
