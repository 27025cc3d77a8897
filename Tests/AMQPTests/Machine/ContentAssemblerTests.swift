import Testing

@testable import AMQP

@Suite struct ContentAssemblerTests {
    @Test func itSaysWhoseHeaderItAwaits() throws {
        var assembler = ContentAssembler<Int>(bodyLimit: 10)
        #expect(assembler.awaitsHeader == nil)
        try assembler.begin(7)
        #expect(assembler.awaitsHeader == 7)
        _ = try assembler.header(bodySize: 3, properties: AMQPProperties())
        #expect(assembler.awaitsHeader == nil)
    }

    private func body(_ assembler: inout ContentAssembler<String>, _ bytes: [UInt8]) throws -> ContentAssembler<String>.Outcome {
        try bytes.withUnsafeBytes { fragment throws(AMQPError) in try assembler.body(fragment) }
    }

    @Test func bodyComesInPieces() throws {
        var assembler = ContentAssembler<String>(bodyLimit: 10)
        for round in 0..<2 {
            try assembler.begin("e\(round)")
            let properties = AMQPProperties(messageID: "m")
            guard case .incomplete = try assembler.header(bodySize: 5, properties: properties) else { Issue.record(); return }
            guard case .incomplete = try body(&assembler, [1, 2]) else { Issue.record(); return }
            guard case .complete(let envelope, let message) = try body(&assembler, [3, 4, 5]) else { Issue.record(); return }
            #expect(envelope == "e\(round)")
            #expect(message == AMQPMessage(body: [1, 2, 3, 4, 5], properties: properties))
        }
    }

    @Test func emptyBodyHasNoBodyFrame() throws {
        var assembler = ContentAssembler<String>(bodyLimit: 10)
        try assembler.begin("e")
        guard case .complete(_, let message) = try assembler.header(bodySize: 0, properties: AMQPProperties()) else {
            Issue.record()
            return
        }
        #expect(message.body.isEmpty)
    }

    @Test func tooLargeIsReadToItsEndAndRefused() throws {
        var assembler = ContentAssembler<String>(bodyLimit: 3)
        try assembler.begin("e")
        guard case .incomplete = try assembler.header(bodySize: 4, properties: AMQPProperties()) else { Issue.record(); return }
        guard case .incomplete = try body(&assembler, [1, 2, 3]) else { Issue.record(); return }
        guard case .refused("e", _, _) = try body(&assembler, [4]) else { Issue.record(); return }
        try assembler.begin("next")
        guard case .complete("next", _) = try assembler.header(bodySize: 0, properties: AMQPProperties()) else {
            Issue.record()
            return
        }
    }

    @Test(arguments: [[[1, 2, 3, 4, 5, 6, 7]], [[1, 2], [3, 4], [5, 6], [7]], [[1, 2, 3], [4, 5, 6, 7]]] as [[[UInt8]]])
    func theEndOfWhatIsRefusedIsKept(_ pieces: [[UInt8]]) throws {
        var assembler = ContentAssembler<String>(bodyLimit: 3, tailLimit: 3)
        for _ in 0..<2 {
            try assembler.begin("e")
            _ = try assembler.header(bodySize: 7, properties: AMQPProperties())
            var last: ContentAssembler<String>.Outcome?
            for piece in pieces { last = try body(&assembler, piece) }
            guard case .refused("e", let reason, let message) = last else { Issue.record(); return }
            #expect(message.body == [5, 6, 7] && reason.contains("7 bytes"))
        }
    }

    @Test func undecodableHeadersAreRefused() throws {
        var assembler = ContentAssembler<String>(bodyLimit: 3)
        try assembler.begin("e")
        guard case .refused("e", _, _) = try assembler.header(bodySize: 0, properties: nil) else { Issue.record(); return }
    }

    @Test func headersOfWhatIsRefusedAreKept() throws {
        let properties = AMQPProperties(headers: ["x-stream-offset": 7])
        var assembler = ContentAssembler<String>(bodyLimit: 3)
        try assembler.begin("large")
        _ = try assembler.header(bodySize: 4, properties: properties)
        guard case .refused("large", _, let large) = try body(&assembler, [1, 2, 3, 4]) else { Issue.record(); return }
        try assembler.begin("nested")
        let outcome = try assembler.header(bodySize: 0, properties: nil, remnant: properties)
        guard case .refused("nested", _, let nested) = outcome else { Issue.record(); return }
        #expect(large.properties == properties && nested.properties == properties)
    }

    @Test func framesOutOfStepAreErrors() throws {
        var assembler = ContentAssembler<String>(bodyLimit: 10)
        #expect(throws: AMQPError.self) { _ = try assembler.header(bodySize: 1, properties: AMQPProperties()) }
        #expect(throws: AMQPError.self) { _ = try body(&assembler, [1]) }
        try assembler.begin("e")
        #expect(throws: AMQPError.self) { try assembler.begin("f") }
        _ = try assembler.header(bodySize: 1, properties: AMQPProperties())
        #expect(throws: AMQPError.self) { _ = try body(&assembler, [1, 2]) }
    }
}
