internal import AMQP
internal import Basics
internal import CZlib

/// Bodies that a client with `kombu_compression` has compressed (`kombu/compression.py`).
enum KombuCompression {
    /// kombu's name for zlib's format, its `gzip` and `zlib`.
    private static let zlib = "application/x-gzip"
    /// A body may become so many times as long, or this long in any case: JSON seldom gets a tenth of its size.
    private static let (ratio, least) = (32, 64 << 10)

    /// The body as it was before its compression.
    ///
    /// - Throws: ``EnvelopeError`` for another kind of compression, a damaged body, and one that is suspiciously small.
    static func decompressed(_ body: [UInt8], _ properties: AMQPProperties) throws(EnvelopeError) -> [UInt8] {
        guard case .string(let kind) = properties.headers["compression"] else { return body }
        guard kind == zlib else {
            throw EnvelopeError(
                code: .notJSON, message: "the body is compressed as \(kind.cut(to: 80)); with kombu_compression use gzip, or none"
            )
        }
        let limit = max(least, ratio * body.count)
        var size = min(limit, max(4096, 4 * body.count))
        while true {
            var (plain, length) = ([UInt8](repeating: 0, count: size), uLongf(size))
            switch unsafe uncompress(&plain, &length, body, uLong(body.count)) {
            case Z_OK: return Array(plain.prefix(Int(length)))
            case Z_BUF_ERROR where size < limit: size = min(limit, 4 * size)
            default: throw EnvelopeError(code: .notJSON, message: "the compressed body is damaged, or too large")
            }
        }
    }
}
