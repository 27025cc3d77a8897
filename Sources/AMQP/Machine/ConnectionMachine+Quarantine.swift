internal import DequeModule
internal import Logging

/// Units in quarantine. Where nothing but the broker's answer is needed it is asked without waiting, since it may take minutes
/// and the other queues are served meanwhile.
extension ConnectionMachine {
    private static let retryInterval = Duration.seconds(5)

    /// Declares a unit, or asks about its queue first, or leaves it alone for now.
    mutating func approach(_ unit: TopologyRegistry.Unit) {
        let now = clock()
        guard hasOthers(than: unit) else { return insert([.action(.declare(unit))]) }
        if let hold = registry.quarantine.hold(on: unit.id, at: now) {
            unavailable[unit.id] = hold.why
            retry(at: hold.until)
        } else if let why = registry.quarantine.reasonToAsk(about: unit.id) {
            unavailable[unit.id] = why
            ask(about: unit)
        } else {
            insert([.action(.declare(unit))])
        }
    }

    private mutating func retry(at time: ContinuousClock.Instant) { nextRetry = min(nextRetry ?? time, time) }

    mutating func retryUnavailable() {
        nextRetry = nil
        steps.append(contentsOf: registry.units.filter { unavailable[$0.id] != nil }.map(Step.approach))
        steps.append(.startConsumers)
    }

    /// Has a unit asked about before it is declared again. A queue without a name cannot be asked about.
    mutating func askFirst(_ unit: TopologyRegistry.Unit) {
        guard unit.isGated, hasOthers(than: unit), unit.topology.queues.first?.name.isEmpty == false else { return }
        registry.quarantine.ask(about: unit.id, why: unit.noAnswer, from: clock())
    }

    /// Each question has a channel of its own, so that none waits for another's answer.
    private mutating func ask(about unit: TopologyRegistry.Unit) {
        guard !asked.values.contains(where: { $0.id == unit.id }), let queue = unit.topology.queues.first?.name,
            let channel = (Session.Channel.questions...).first(where: { asked[$0] == nil })
        else { return }
        asked[channel] = unit
        insert([.action(.ask(queue: queue, channel))])
        if questionChannels.insert(channel).inserted { insert([.action(.openChannel(channel))]) }
    }

    /// Handles the answer to ``Action/ask(queue:_:)``. Unless the queue cannot be reached, its declaration is next: that creates a
    /// queue that does not exist, and reports what else is wrong.
    ///
    /// - Parameter error: Nil if the queue can be reached.
    mutating func answered(_ channel: UInt16, _ error: AMQPError?) {
        guard let unit = asked.removeValue(forKey: channel) else { return }
        if let error, error.isHomeNodeDown {
            homeNodeIsDown(unit, error)
        } else {
            registry.quarantine.release(unit.id, at: clock())
        }
        retryUnavailable()
    }

    /// Has the broker asked again later.
    mutating func homeNodeIsDown(_ unit: TopologyRegistry.Unit, _ error: AMQPError) {
        let due = clock() + Self.retryInterval
        registry.quarantine.ask(about: unit.id, why: unit.homeNodeDown, from: due)
        retry(at: due)
        guard unavailable.updateValue(unit.homeNodeDown, forKey: unit.id) != unit.homeNodeDown else { return }
        context.logger.warning(
            "the queue's home node is down: nothing is consumed from it until that is back",
            metadata: ["queue": "\(unit.queueNames)", "reason": "\(error.message)"])
    }
}
