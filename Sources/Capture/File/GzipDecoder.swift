import CZlib

/// Decompresses gzip, with any number of members, in pieces of bounded size.
@safe struct GzipDecoder: ~Copyable {
    /// Why decompression ended.
    enum Fault: Error {
        /// The data is not gzip, or a checksum is wrong.
        case damaged
        /// Something else follows the last, complete member.
        case trailingGarbage
    }

    private static let outputSize = 256 << 10
    /// On the heap, because zlib refuses a stream that has moved.
    private let stream: UnsafeMutablePointer<z_stream>
    private var input: ArraySlice<UInt8> = []
    /// Whether zlib has more output than fitted.
    private var hasMore = false
    private var isDamaged = false
    /// Whether a member has begun but not ended.
    private(set) var isWithinMember = true

    /// - Throws: ``CaptureError`` `compression` if memory is short.
    init() throws(CaptureError) {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        guard unsafe czlib_inflate_init(stream) == Z_OK else {
            unsafe stream.deallocate()
            throw CaptureError(.compression, "not enough memory to decompress")
        }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Takes the next bytes of the file, once ``next()`` has returned nil.
    mutating func feed(_ bytes: [UInt8]) { input = bytes[...] }

    /// The next decompressed bytes; nil if more input is needed.
    ///
    /// - Throws: ``Fault``.
    mutating func next() throws(Fault) -> [UInt8]? {
        while hasMore || !input.isEmpty {
            if isDamaged { throw .damaged }
            if !isWithinMember {
                // Tapes and block devices are padded.
                input = input.drop { $0 == 0 }
                guard let first = input.first else { return nil }
                guard first == 0x1f else { throw .trailingGarbage }
                unsafe inflateReset(stream)
                isWithinMember = true
            }
            let output = inflateSome()
            if !output.isEmpty { return output }
        }
        return nil
    }

    private mutating func inflateSome() -> [UInt8] {
        var status = Z_OK
        let output = unsafe input.withUnsafeBufferPointer { input in
            unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            unsafe stream.pointee.avail_in = UInt32(input.count)
            return unsafe [UInt8](unsafeUninitializedCapacity: Self.outputSize) { room, count in
                unsafe stream.pointee.next_out = room.baseAddress
                unsafe stream.pointee.avail_out = UInt32(Self.outputSize)
                status = unsafe inflate(stream, Z_NO_FLUSH)
                unsafe count = Self.outputSize - Int(stream.pointee.avail_out)
            }
        }
        input = unsafe input.suffix(Int(stream.pointee.avail_in))
        hasMore = unsafe stream.pointee.avail_out == 0 && status == Z_OK
        isWithinMember = status != Z_STREAM_END
        // No progress without more input is not an error.
        isDamaged = ![Z_OK, Z_STREAM_END, Z_BUF_ERROR].contains(status)
        if isDamaged { hasMore = true }
        return output
    }
}
