import Testing
import VolumeSwap

@testable import Journal

@Suite struct WriteQueueTests {
    private static func phase(_ id: String, _ phase: SwapPhase, isSynced: Bool = true) -> JournalWrite {
        .enter(TaskID(id), phase, plan: nil, at: 1, isSynced: isSynced)
    }

    private static func finish(_ id: String) -> JournalWrite {
        .finish(TaskID(id), .completed, result: "{}", failure: nil, at: 2)
    }

    private static func settle(_ id: String, _ secrets: Secrets = .kept) -> JournalWrite { .settle(TaskID(id), secrets) }

    /// A transaction in short form.
    private static func text(_ batch: [WriteQueue.Entry]) -> [String] {
        batch.compactMap { entry in
            switch entry.write {
            case .enter(let id, let phase, _, _, _): "\(id.text) \(phase.rawValue)"
            case .finish(let id, _, _, _, _, let isSettled): "\(id.text) finish\(isSettled ? "+settle" : "")"
            case .settle(let id, _): "\(id.text) settle"
            case .barrier: nil
            default: "other"
            }
        }
    }

    private static func queue(_ writes: JournalWrite...) -> WriteQueue {
        var queue = WriteQueue()
        for write in writes { queue.append(.init(write: write, reply: nil)) }
        return queue
    }

    @Test func aNotedPhaseGivesWayToTheNextOne() {
        var queue = Self.queue(Self.phase("a", .copying), Self.phase("b", .copying), Self.phase("a", .finishing))
        #expect(Self.text(queue.take()) == ["b copying", "a finishing"])
        #expect(queue.isEmpty && queue.take().isEmpty)
    }

    @Test func aPhaseToSyncGivesWayOnlyToOneThatIsSynced() {
        var queue = Self.queue(Self.phase("a", .storing), Self.phase("a", .copying, isSynced: false))
        let batch = queue.take()
        #expect(Self.text(batch) == ["a storing", "a copying"])
        queue.retain(batch)
        queue.append(.init(write: .barrier, reply: nil))
        #expect(Self.text(queue.take()) == ["a storing", "a copying"], "after a failed transaction")
        queue = Self.queue(Self.phase("a", .copying, isSynced: false), Self.phase("a", .storing))
        #expect(Self.text(queue.take()) == ["a storing"])
    }

    @Test func anOutcomeTakesItsSettlementAlong() {
        var queue = Self.queue(Self.phase("a", .copying), Self.finish("a"), Self.finish("b"), Self.settle("a"))
        #expect(Self.text(queue.take()) == ["a finish+settle", "b finish"])
        queue.append(.init(write: Self.settle("b"), reply: nil))
        #expect(Self.text(queue.take()) == ["b settle"], "the outcome has gone")
    }

    @Test func secretsToMaskAreASettlementOfTheirOwn() {
        var queue = Self.queue(Self.finish("a"), Self.settle("a", .unknown))
        #expect(Self.text(queue.take()) == ["a finish", "a settle"])
    }

    @Test func anOutcomeIsNeverOverwritten() {
        var queue = Self.queue(Self.finish("a"), Self.phase("a", .copying), Self.settle("a"))
        #expect(Self.text(queue.take()) == ["a finish", "a copying", "a settle"])
    }

    @Test func whatAwaitsAnAnswerIsWrittenAsItIs() async {
        var queue = Self.queue(Self.phase("a", .copying))
        let result = await withCheckedContinuation { (reply: GroupCommit.Reply) in
            queue.append(.init(write: Self.finish("a"), reply: reply))
            queue.append(.init(write: Self.settle("a"), reply: nil))
            let batch = queue.take()
            #expect(Self.text(batch) == ["a finish", "a settle"])
            for entry in batch { entry.reply?.resume(returning: .success(.done)) }
        }
        #expect((try? result.get()) != nil)
    }

    private static func histories(_ batch: [WriteQueue.Entry]) -> [String] {
        batch.compactMap { entry in if case .barrier = entry.write { nil } else { entry.history } }
    }

    @Test func theHistoryKeepsWhatIsNotWritten() {
        var queue = WriteQueue()
        queue.append(.init(write: Self.phase("a", .copying), reply: nil, history: "1"))
        queue.append(.init(write: .remark(TaskID("a")), reply: nil, history: "2"))
        queue.append(.init(write: .remark(TaskID("b")), reply: nil, history: "x"))
        queue.append(.init(write: Self.phase("a", .finishing), reply: nil, history: "3"))
        #expect(Self.histories(queue.take()) == ["x", "123"])
        queue.append(.init(write: .remark(TaskID("a")), reply: nil, history: "1"))
        queue.append(.init(write: .remark(TaskID("a")), reply: nil, history: "2"))
        queue.append(.init(write: Self.settle("a", .unknown), reply: nil, history: "3"))
        #expect(Self.histories(queue.take()) == ["123"], "a remark takes no statement of its own")
        queue.append(.init(write: .remark(TaskID("a")), reply: nil, history: "1"))
        queue.append(.init(write: .answer(TaskID("a"), result: nil, failure: "{}"), reply: nil))
        #expect(Self.histories(queue.take()) == ["1", ""], "an answer writes no history")
    }

    @Test func aFailedTransactionLosesOnlyRemarks() {
        var queue = WriteQueue()
        queue.append(.init(write: Self.phase("a", .copying), reply: nil, history: "1"))
        queue.retain(queue.take())
        queue.append(.init(write: Self.phase("a", .ready), reply: nil, history: "2"))
        queue.append(.init(write: .remark(TaskID("b")), reply: nil, history: "x"))
        queue.retain(queue.take())
        queue.append(.init(write: Self.phase("c", .ready), reply: nil, history: "3"))
        #expect(Self.histories(queue.take()) == ["12", "3"])
    }

    @Test func notesOfAFailedTransactionGoBeforeTheNextOne() {
        var queue = Self.queue(Self.phase("a", .copying), Self.phase("b", .copying), Self.finish("c"))
        queue.retain(queue.take())
        #expect(queue.take().isEmpty, "they wait for company")
        queue.append(.init(write: Self.phase("a", .finishing), reply: nil))
        queue.retain(queue.take())
        queue.append(.init(write: Self.settle("c"), reply: nil))
        #expect(Self.text(queue.take()) == ["b copying", "c finish", "a finishing", "c settle"])
    }
}
