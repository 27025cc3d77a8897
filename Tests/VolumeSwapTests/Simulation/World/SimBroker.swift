@testable import VolumeSwap

/// The broker: a message stays until it is acknowledged, and is redelivered when pivotd dies.
final class SimBroker: @unchecked Sendable {
    private struct Message {
        let task: SimTask
        let replyTo: ReplyTo?
        /// The life that holds it unacknowledged.
        var holder: Int?
    }

    unowned let world: SimWorld
    private var messages: [Message] = []

    init(_ world: SimWorld) { self.world = world }

    var isEmpty: Bool { messages.isEmpty }

    func send(_ task: SimTask, as replyTo: ReplyTo?) {
        world.note("client", "sends \(task)")
        messages.append(Message(task: task, replyTo: replyTo))
        world.pivotd?.consume()
    }

    /// Delivers all unheld messages to a consuming pivotd.
    func deliver(to pivotd: SimPivotd) {
        for index in messages.indices where messages[index].holder != pivotd.life.number {
            messages[index].holder = pivotd.life.number
            let (task, replyTo) = (messages[index].task, messages[index].replyTo)
            let turn = pivotd.service.take(task.record(at: pivotd.clock.date, replyTo: replyTo), refusal: task.refusal)
            pivotd.spawn { [self] in
                let submission = await pivotd.service.carryOut(turn)
                if case .ended(let outcome) = submission, let replyTo {
                    _ = await world.deliver(pivotd.life, turn.record, replyTo, outcome)
                }
                guard pivotd.life.isAlive else { return }
                settle(task, replyTo, submission, pivotd)
            }
        }
    }

    private func settle(_ task: SimTask, _ replyTo: ReplyTo?, _ submission: Submission, _ pivotd: SimPivotd) {
        guard let index = messages.firstIndex(where: { $0.task === task && $0.replyTo == replyTo }) else { return }
        if case .notStored = submission {
            world.loop.after(2 * .second) { [self] in
                guard let index = messages.firstIndex(where: { $0.task === task && $0.replyTo == replyTo }) else { return }
                messages[index].holder = nil
                world.pivotd?.consume()
            }
        } else {
            messages.remove(at: index)
        }
    }
}
