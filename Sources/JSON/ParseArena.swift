import CJansson
import Glibc

/// The memory of one parse: jansson's many small allocations are cut from a few large blocks and freed all at once.
///
/// Each thread keeps one block for its next parse. jansson has one allocator per process: allocations outside a parse, such as
/// another library's, still come from `malloc`.
@safe
struct ParseArena {
    private static let alignment = 16
    /// Size in bytes of the block that a thread keeps: enough for usual messages.
    private static let keptSize = 32 << 10

    /// The thread's state, for `allocate`.
    @safe
    private struct Thread {
        /// The arena of the parse under way.
        var arena: UnsafeMutablePointer<ParseArena>?
        /// An unused block of ``ParseArena/keptSize``.
        var kept: UnsafeMutableRawPointer?
    }

    private static let current: pthread_key_t = {
        var key = pthread_key_t()
        let code = unsafe pthread_key_create(&key) { memory in
            guard let thread = unsafe memory?.assumingMemoryBound(to: Thread.self) else { return }
            unsafe free(thread.pointee.kept)
            unsafe thread.deallocate()
        }
        precondition(code == 0, "no thread-specific storage: error \(code)")
        unsafe json_set_alloc_funcs({ unsafe ParseArena.allocate($0) }, { unsafe ParseArena.release($0) })
        return key
    }()

    private var first: UnsafeMutableRawPointer?
    private var more: [UnsafeMutableRawPointer] = unsafe []
    private var next: UnsafeMutableRawPointer?
    private var left = 0
    private var blockSize: Int

    private init(first: UnsafeMutableRawPointer?, blockSize: Int) {
        self.blockSize = blockSize
        unsafe self.first = first
        unsafe next = first
        left = unsafe first == nil ? 0 : Self.keptSize
    }

    /// Runs the body with jansson allocating in an arena; no jansson value may outlive it.
    ///
    /// - Parameter expected: roughly how many bytes will be needed; more are allocated on demand.
    static func with<Value>(expected: Int, _ body: () -> Value) -> Value {
        let thread = unsafe ownThread()
        var arena = unsafe ParseArena(first: thread.pointee.kept ?? malloc(keptSize), blockSize: max(keptSize, expected))
        unsafe thread.pointee.kept = nil
        return unsafe withUnsafeMutablePointer(to: &arena) { pointer in
            let outer = unsafe thread.pointee.arena
            unsafe thread.pointee.arena = pointer
            defer {
                unsafe thread.pointee.arena = outer
                unsafe pointer.pointee.more.forEach { unsafe free($0) }
                if unsafe thread.pointee.kept == nil {
                    unsafe thread.pointee.kept = pointer.pointee.first
                } else {
                    unsafe free(pointer.pointee.first)
                }
            }
            return body()
        }
    }

    private static func ownThread() -> UnsafeMutablePointer<Thread> {
        if let known = unsafe pthread_getspecific(current) { return unsafe known.assumingMemoryBound(to: Thread.self) }
        let thread = UnsafeMutablePointer<Thread>.allocate(capacity: 1)
        unsafe thread.initialize(to: Thread())
        unsafe pthread_setspecific(current, thread)
        return unsafe thread
    }

    /// The arena of this thread's parse.
    private static var underWay: UnsafeMutablePointer<ParseArena>? {
        unsafe pthread_getspecific(current)?.assumingMemoryBound(to: Thread.self).pointee.arena
    }

    private static func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        guard let arena = unsafe underWay else { return unsafe malloc(size) }
        return unsafe arena.pointee.take(size)
    }

    private static func release(_ memory: UnsafeMutableRawPointer?) {
        if unsafe underWay == nil { unsafe free(memory) }
    }

    private mutating func take(_ size: Int) -> UnsafeMutableRawPointer? {
        let rounded = (size + Self.alignment - 1) & ~(Self.alignment - 1)
        if rounded > left {
            let needed = max(rounded, blockSize)
            guard let block = unsafe malloc(needed) else { return nil }
            unsafe more.append(block)
            unsafe next = block
            left = needed
            blockSize *= 2
        }
        left -= rounded
        defer { unsafe next = next?.advanced(by: rounded) }
        return unsafe next
    }
}
