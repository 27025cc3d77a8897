import CJansson
import Glibc

/// The memory of one parse: jansson's many small pieces are cut out of few large ones and given back all at once.
///
/// jansson has one allocator for the whole process. What is asked for outside a parse, by another library say, still comes from
/// `malloc`.
@safe
struct ParseArena {
    private static let alignment = 16

    /// The thread's arena, while it parses.
    private static let current: pthread_key_t = {
        var key = pthread_key_t()
        let code = unsafe pthread_key_create(&key, nil)
        precondition(code == 0, "no thread-specific storage: error \(code)")
        unsafe json_set_alloc_funcs({ unsafe ParseArena.allocate($0) }, { unsafe ParseArena.release($0) })
        return key
    }()

    private var blocks: [UnsafeMutableRawPointer] = unsafe []
    private var next: UnsafeMutableRawPointer?
    private var left = 0
    private var blockSize: Int

    private init(blockSize: Int) {
        self.blockSize = blockSize
    }

    /// Runs the body with what jansson allocates in an arena; no jansson value may outlive it.
    ///
    /// - Parameter expected: bytes that will be needed, roughly; more is found when it is.
    static func with<Value>(expected: Int, _ body: () -> Value) -> Value {
        var arena = ParseArena(blockSize: max(4096, expected))
        let outer = unsafe pthread_getspecific(current)
        defer {
            unsafe pthread_setspecific(current, outer)
            unsafe arena.blocks.forEach { unsafe free($0) }
        }
        return unsafe withUnsafeMutablePointer(to: &arena) { pointer in
            unsafe pthread_setspecific(current, pointer)
            return body()
        }
    }

    private static func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        guard let arena = unsafe pthread_getspecific(current) else { return unsafe malloc(size) }
        return unsafe arena.assumingMemoryBound(to: ParseArena.self).pointee.take(size)
    }

    private static func release(_ memory: UnsafeMutableRawPointer?) {
        if unsafe pthread_getspecific(current) == nil { unsafe free(memory) }
    }

    private mutating func take(_ size: Int) -> UnsafeMutableRawPointer? {
        let rounded = (size + Self.alignment - 1) & ~(Self.alignment - 1)
        if rounded > left {
            let needed = max(rounded, blockSize)
            guard let block = unsafe malloc(needed) else { return nil }
            unsafe blocks.append(block)
            unsafe next = block
            left = needed
            blockSize *= 2
        }
        left -= rounded
        defer { unsafe next = next?.advanced(by: rounded) }
        return unsafe next
    }
}
