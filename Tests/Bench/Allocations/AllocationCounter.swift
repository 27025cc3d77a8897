import Glibc

/// What the process has allocated so far, if `Tests/Support/allocations/count_mallocs.c` is preloaded.
struct AllocationCounter {
    private typealias Reading = @convention(c) () -> UInt

    private let count: Reading
    private let size: Reading

    /// nil if allocations are not counted.
    init?() {
        guard let count = dlsym(nil, "allocation_count"), let size = dlsym(nil, "allocation_bytes") else { return nil }
        self.count = unsafeBitCast(count, to: Reading.self)
        self.size = unsafeBitCast(size, to: Reading.self)
    }

    /// Allocations and their bytes since the process began.
    var reading: (allocations: UInt, bytes: UInt) { (count(), size()) }
}
