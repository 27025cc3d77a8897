internal import AMQP
internal import Basics
internal import CZlib

/// Bodies that a client with `kombu_compression` has compressed (`kombu/compression.py`).
enum KombuCompression {
    /// The header that names the compression.
    static let header = "compression"
    /// kombu's name for zlib's format, its `gzip` and `zlib`.
    private static let zlib = "application/x-gzip"

    enum Result: Equatable {
        case plain
        case decompressed([UInt8])
        /// Why it cannot be read.
        case unreadable(String)
    }

    /// The body as it was before its compression.
    ///
    /// - Parameter limit: maximum bytes of the body then.
    static func decompress(_ body: [UInt8], _ properties: AMQPProperties, limit: Int) -> Result {
        guard case .string(let kind) = properties.headers[header] else { return .plain }
        guard kind == zlib else {
            return .unreadable("the body is compressed as \(kind.cut(to: 80)); with kombu_compression use gzip, or none")
        }
        var size = min(limit, max(4096, 4 * body.count))
        while true {
            var (plain, length) = ([UInt8](repeating: 0, count: size), uLongf(size))
            switch unsafe uncompress(&plain, &length, body, uLong(body.count)) {
            case Z_OK: return .decompressed(Array(plain.prefix(Int(length))))
            case Z_BUF_ERROR where size < limit: size = min(limit, 4 * size)
            case Z_BUF_ERROR: return .unreadable("the compressed body is damaged, or has more than \(limit) bytes")
            default: return .unreadable("the compressed body is damaged")
            }
        }
    }
}
