import CZlib

/// Compresses a stream into a single gzip member.
@safe struct GzipEncoder: ~Copyable {
    private static let outputSize = 64 << 10
    /// On the heap, because zlib refuses a stream that has moved.
    private let stream: UnsafeMutablePointer<z_stream>

    /// - Throws: ``CaptureError`` `compression` if memory is short.
    init() throws(CaptureError) {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        guard unsafe czlib_deflate_init(stream) == Z_OK else {
            unsafe stream.deallocate()
            throw CaptureError(.compression, "not enough memory to compress")
        }
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// What to write so that everything up to these bytes can be read back before the member ends.
    func compress(_ bytes: [UInt8]) -> [UInt8] { run(bytes, Z_SYNC_FLUSH) }

    /// The end of the member; nothing may be compressed afterwards.
    func finish() -> [UInt8] { run([], Z_FINISH) }

    private func run(_ bytes: [UInt8], _ flush: Int32) -> [UInt8] {
        var output: [UInt8] = []
        unsafe bytes.withUnsafeBufferPointer { input in
            unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            unsafe stream.pointee.avail_in = UInt32(input.count)
            repeat {
                unsafe output += [UInt8](unsafeUninitializedCapacity: Self.outputSize) { room, count in
                    unsafe stream.pointee.next_out = room.baseAddress
                    unsafe stream.pointee.avail_out = UInt32(Self.outputSize)
                    _ = unsafe deflate(stream, flush)
                    unsafe count = Self.outputSize - Int(stream.pointee.avail_out)
                }
            } while unsafe stream.pointee.avail_out == 0
        }
        return output
    }
}
