import AMQP
import Basics
import JSON
import Logging
import Synchronization

/// The path of a message from its arrival to its reply.
extension RPCServer {
    func serve(_ transport: some Transport) async {
        await withDiscardingTaskGroup { group in
            for lane in lanes { group.addTask { await self.work(on: lane) } }
            var epoch: UInt64 = 0
            for await message in transport.inbound {
                if message.tag.epoch != epoch { await forgetDeliveries(before: message.tag.epoch) }
                epoch = message.tag.epoch
                if let work = await take(message) { group.addTask { await work() } }
            }
            await close()
        }
    }

    /// Decodes a message. Returns the remaining work, unless the request has to wait.
    private func take(_ message: InboundMessage) async -> (@Sendable () async -> Void)? {
        received.increment()
        guard state != .draining else {
            await requeue(message)
            return nil
        }
        let plain = message.decompressed
        let request = try? plain.request()
        if request != nil { decoded.increment() }
        let heartbeats = request?.replyAddress.flatMap { replies.startHeartbeats(for: $0) }
        let entry = Backlog.Entry(message: message, request: request, bytes: plain.body.count, heartbeats: heartbeats)
        let lane = request.map(lane) ?? answering
        // With nothing ahead of it, it can start without breaking the order.
        if let place = Place(ifFree: lane.limit, bytes: entry.bytes) {
            if let entry = lane.backlog.pass(entry) { return begin(entry, place) }
            place.release()
        }
        if !lane.backlog.append(entry) { await giveBack(entry) }
        return nil
    }

    private func lane(of request: RPCRequest) -> Lane {
        guard refusal(of: request) == nil else { return answering }
        if configuration.storedMethods.contains(request.method) { return storing }
        return configuration.slowMethods.contains(request.method) ? asking : answering
    }

    /// Processes a lane's backlog until it is closed.
    private func work(on lane: Lane) async {
        let (backlog, limit) = (lane.backlog, lane.limit)
        await withDiscardingTaskGroup { group in
            while let entry = await backlog.next() {
                let place = await Place(limit, bytes: entry.bytes)
                guard backlog.isOpen else {
                    if !backlog.putBack(entry) { await giveBack(entry) }
                    place.release()
                    continue
                }
                // The broker redelivers what can no longer be settled.
                guard transport.awaitsSettlement(entry.message.tag) else {
                    await endHeartbeats(entry.heartbeats)
                    place.release()
                    continue
                }
                let work = begin(entry, place)
                let isAlone = backlog === storing.backlog && isTrying.withLock(\.self)
                group.addTask { await work() }
                // Not until a reply is delivered, whose caller may be gone.
                if isAlone { await place.untilReleased() }
            }
        }
    }

    /// Passes a request to the endpoint; returns the remaining work, which keeps no request while its reply waits for the broker.
    private func begin(_ entry: Backlog.Entry, _ place: Place) -> @Sendable () async -> Void {
        let request: RPCRequest
        do throws(EnvelopeError) {
            request = if let read = entry.request { read } else { try entry.message.request() }
        } catch {
            let message = Held(entry.message)
            return { await self.refuse(message, error, place) }
        }
        let receipt = Receipt(entry, request)
        if let refusal = refusal(of: request) { return { await self.answer(receipt, .failure(refusal), in: place) } }
        if request.method == Self.pingMethod { return { await self.answer(receipt, .success("pong"), in: place) } }
        let isStored = configuration.storedMethods.contains(request.method)
        let work = Held(Work(entry: entry, isStored: isStored, carryOut: receive(request)))
        if isStored { return { await self.conclude(work, receipt, place) } }
        return {
            let timer = self.acknowledge(receipt.tag, after: self.configuration.answerPatience)
            defer { timer.cancel() }
            await self.conclude(work, receipt, place)
        }
    }

    /// Acknowledges a message, unless cancelled before, for the broker's acknowledgement timeout: its answer takes long, or is not taken. It
    /// is not delivered again from then on.
    private func acknowledge(_ tag: DeliveryTag, after patience: Duration) -> Timers.Entry {
        Timers.shared.schedule(after: patience) { [transport] in Task { await transport.acknowledge(tag) } }
    }

    /// Why this server does not handle a request, in the words of oslo.messaging's dispatcher.
    private func refusal(of request: RPCRequest) -> RemoteFailure? {
        let version = request.version ?? "1.0"
        guard request.namespace == nil, let requested = RPCVersion(version), Self.version.serves(requested) else {
            return .unsupportedVersion(version, method: request.method)
        }
        let isKnown = request.method == Self.pingMethod || configuration.methods.contains(request.method)
        return isKnown ? nil : .noSuchMethod(request.method)
    }

    private func conclude(_ work: Held<Work>, _ receipt: Receipt, _ place: Place) async {
        guard let (result, uniqueID) = await carryOut(work, receipt, place) else { return }
        await answer(receipt, result, uniqueID, in: place)
    }

    /// Carries out a request, and returns what to reply, with its `_unique_id`; nil if the endpoint replies later, or not at all.
    private func carryOut(
        _ held: Held<Work>, _ receipt: Receipt, _ place: Place
    ) async -> (Result<JSONValue, RemoteFailure>, String?)? {
        guard let work = held.take() else { return nil }
        switch await work.carryOut() {
        case .reply(let result, let uniqueID): return (result, uniqueID)
        case .stored:
            stored.add(1, ordering: .relaxed)
            isTrying.withLock { $0 = false }
            // The final reply ends the heartbeats.
            await transport.acknowledge(receipt.tag)
        case .known:
            await transport.acknowledge(receipt.tag)
            await endHeartbeats(receipt.heartbeats)
        case .notStored(let reason):
            suspend(reason: reason)
            let waits = work.isStored && storing.backlog.putBack(work.entry)
            if !waits { await giveBack(work.entry) }
        }
        place.release()
        return nil
    }

    private func answer(
        _ receipt: Receipt, _ result: Result<JSONValue, RemoteFailure>, _ uniqueID: String? = nil, in place: Place
    ) async {
        if let address = receipt.address {
            let wait = ReplyWait(place, overdue: overdueReplies, patience: configuration.answerPatience)
            defer { wait.end() }
            let timer = acknowledge(receipt.tag, after: configuration.replyPatience)
            defer { timer.cancel() }
            _ = await replies.send(result: result, to: address, uniqueID: uniqueID ?? receipt.replyID) {
                await self.transport.acknowledge(receipt.tag)
                // A reply whose caller is gone is retried for a minute, which must not hold up other requests.
                place.release()
            }
        } else {
            if case .failure(let failure) = result {
                logger.info("cast failed", metadata: ["method": "\(receipt.method)", "failure": "\(failure.className)"])
            }
            await transport.acknowledge(receipt.tag)
        }
        await endHeartbeats(receipt.heartbeats)
        place.release()
    }

    /// The reply to something that is not a request at all.
    static func refusal(_ failures: NovaFailure, _ reason: String) -> RemoteFailure {
        failures.invalidInput(reason: reason).adding([
            "task_id": .null, "reason_code": "invalid_argument", "retryable": false, "in_use": "unknown", "left_behind": [],
        ])
    }

    private func suspend(reason: String) {
        let isFirst = currentState.withLock { state in
            guard state == .consuming else { return false }
            state = .suspended(reason: reason)
            storing.backlog.pause()
            return true
        }
        guard isFirst else { return }
        logger.error("requests cannot be stored: they wait", metadata: ["reason": "\(reason)"])
    }

    private func refuse(_ message: Held<InboundMessage>, _ error: EnvelopeError, _ place: Place) async {
        if let address = await reject(message, error) {
            place.release()
            let failure = Self.refusal(configuration.failures, error.message)
            let uniqueID = UniqueID.derived(from: "reply \(address.messageID)")
            _ = await replies.send(result: .failure(failure), to: address, uniqueID: uniqueID)
        }
        place.release()
    }

    /// Rejects what is not a request, and returns where its caller waits; nil if there is none, or it is not known.
    private func reject(_ held: Held<InboundMessage>, _ error: EnvelopeError) async -> ReplyAddress? {
        guard let message = held.take() else { return nil }
        let count = rejected.increment()
        // Only the first few, then samples: a flood of garbage must not flood the log.
        let level: Logger.Level = count <= 10 || count.isMultiple(of: 1000) ? .warning : .debug
        logger.log(
            level: level, "message rejected",
            metadata: [
                "code": "\(error.code.rawValue)", "reason": "\(error)", "routing_key": "\(message.routingKey)",
                "bytes": "\(message.body.count)", "rejected": "\(count)",
            ])
        await transport.reject(message.tag)
        // Searched here, concurrently with other requests, not in the ordered part.
        let isUnread = [.notJSON, .refused].contains(error.code)
        return error.replyAddress ?? (isUnread ? MessageEnvelope.address(inUnreadable: message.decompressed.body) : nil)
    }
}
