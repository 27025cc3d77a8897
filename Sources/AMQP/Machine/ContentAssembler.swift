/// Assembles a message from its method, header and body frames on one channel.
struct ContentAssembler<Envelope> {
    enum Outcome {
        case incomplete
        case complete(Envelope, AMQPMessage)
        /// The body is too large or the headers nested too deeply; all frames have been read. The body's end is kept, and what
        /// could be read of the properties.
        case refused(Envelope, reason: String, AMQPMessage)
    }

    private enum State {
        case idle
        case expectingHeader(Envelope)
        case collecting(Envelope, AMQPProperties, remaining: UInt64)
        case discarding(Envelope, AMQPProperties, reason: String, remaining: UInt64)
    }

    private let bodyLimit: UInt64
    private let tailLimit: Int
    private var state = State.idle
    /// The body read so far; for a refused one only its end.
    private var body: [UInt8] = []

    /// The envelope whose header has not been taken yet.
    var awaitsHeader: Envelope? { if case .expectingHeader(let envelope) = state { envelope } else { nil } }

    init(bodyLimit: Int, tailLimit: Int = 0) {
        self.bodyLimit = UInt64(max(0, bodyLimit))
        self.tailLimit = max(0, tailLimit)
    }

    /// Takes a method that has content (basic.deliver, basic.return).
    ///
    /// - Throws: ``AMQPError`` `protocolViolation` if the previous content is incomplete.
    mutating func begin(_ envelope: Envelope) throws(AMQPError) {
        guard case .idle = state else { throw Self.outOfStep("method") }
        state = .expectingHeader(envelope)
    }

    /// Takes the content header; `properties` is nil if they could not be decoded.
    ///
    /// - Parameter remnant: What could be decoded then.
    mutating func header(
        bodySize: UInt64, properties: AMQPProperties?, remnant: AMQPProperties = AMQPProperties()
    ) throws(AMQPError) -> Outcome {
        guard case .expectingHeader(let envelope) = state else { throw Self.outOfStep("content header") }
        guard let properties else {
            state = .discarding(envelope, remnant, reason: "headers nested too deeply", remaining: bodySize)
            return finish()
        }
        guard bodySize <= bodyLimit else {
            let reason = "body of \(bodySize) bytes, limit \(bodyLimit)"
            state = .discarding(envelope, properties, reason: reason, remaining: bodySize)
            return .incomplete
        }
        body = []
        body.reserveCapacity(Int(bodySize))
        state = .collecting(envelope, properties, remaining: bodySize)
        return finish()
    }

    /// Takes a fragment of the body.
    mutating func body(_ fragment: UnsafeRawBufferPointer) throws(AMQPError) -> Outcome {
        let size = UInt64(fragment.count)
        switch state {
        case .collecting(let envelope, let properties, let remaining) where size <= remaining:
            unsafe body.append(contentsOf: fragment)
            state = .collecting(envelope, properties, remaining: remaining - size)
        case .discarding(let envelope, let properties, let reason, let remaining) where size <= remaining:
            unsafe keepEnd(of: fragment)
            state = .discarding(envelope, properties, reason: reason, remaining: remaining - size)
        default:
            throw Self.outOfStep("content body")
        }
        return finish()
    }

    private mutating func finish() -> Outcome {
        switch state {
        case .collecting(let envelope, let properties, 0):
            state = .idle
            defer { body = [] }
            return .complete(envelope, AMQPMessage(body: body, properties: properties))
        case .discarding(let envelope, let properties, let reason, 0):
            state = .idle
            defer { body = [] }
            return .refused(envelope, reason: reason, AMQPMessage(body: body, properties: properties))
        default:
            return .incomplete
        }
    }

    private mutating func keepEnd(of fragment: UnsafeRawBufferPointer) {
        guard tailLimit > 0 else { return }
        let end = unsafe fragment.suffix(tailLimit)
        let room = unsafe tailLimit - end.count
        body.removeFirst(max(0, body.count - room))
        unsafe body.append(contentsOf: end)
    }

    private static func outOfStep(_ what: String) -> AMQPError {
        AMQPError(code: .protocolViolation, message: "unexpected \(what) frame", isRetriable: true)
    }
}
