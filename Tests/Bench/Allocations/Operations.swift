import Foundation
import JSON
import Journal
import OsloMessaging
import SwapBus
import VolumeSwap

/// The work that a swap of no bytes consists of, libvirt aside.
struct Operations {
    private let args: JSONObject
    private let body: [UInt8]
    private let plan: SwapPlan
    private let journal: SQLiteJournal
    /// The journal's tasks have ids of their own.
    private let lastTask = TaskNumber()

    private final class TaskNumber {
        var value = 0
    }

    /// - Parameters:
    ///   - example: the file with the schema of `swap_volume`, whose example is decoded.
    ///   - directory: the journal's.
    init(example: String, directory: String) async throws {
        let schema = try JSONValue(parsing: Array(Data(contentsOf: URL(fileURLWithPath: example))))
        guard let inner = schema["examples"]?.arrayValue?.first?.objectValue, let args = inner["args"]?.objectValue else {
            throw CocoaError(.fileReadCorruptFile)
        }
        self.args = args
        body = MessageEnvelope.wrap(inner)
        plan = try Samples.plan
        journal = try await SQLiteJournal.open(directory: directory)
    }

    func close() async { await journal.close() }

    var all: [Operation] {
        [
            Operation(name: "decode a call") { [body] times in
                for _ in 0..<times { _ = try RPCRequest(decoding: body) }
            },
            Operation(name: "read the arguments of swap_volume") { [args] times in
                for _ in 0..<times { _ = try SwapRequest(args: args, defaults: SwapOptions()) }
            },
            Operation(name: "encode a result") { [args] times in
                for _ in 0..<times {
                    _ = RPCReply(messageID: "m", uniqueID: "u", content: .result(.object(args))).encoded()
                }
            },
            Operation(name: "encode a failure") { times in
                let failure = SwapFailure.rebaseFailed("the new volume is full", .noSpace)
                for _ in 0..<times {
                    let remote = NovaFailure().failure(failure, task: "t")
                    _ = RPCReply(messageID: "m", uniqueID: "u", content: .failure(remote)).encoded()
                }
            },
            Operation(name: "the state machine, a whole swap") { [plan] times in
                for _ in 0..<times {
                    var machine = SwapMachine.preparing
                    for input: SwapInput in [.prepared(plan), .done, .mirrorReady, .foundOnNew, .done] {
                        _ = machine.handle(input, pivotTries: 20)
                    }
                }
            },
            Operation(name: "read a domain's XML") { times in
                for _ in 0..<times { _ = try DomainDescription(xml: Samples.domain) }
            },
            Operation(name: "edit a domain's XML") { [plan] times in
                for _ in 0..<times { _ = try DomainXML.settingSource(Samples.domain, disk: "vdb", to: plan.destination) }
            },
            Operation(name: "commit a task to the journal") { [args, journal, lastTask] times in
                for _ in 0..<times {
                    lastTask.value += 1
                    let record = SwapRecord(
                        id: TaskID("task-\(lastTask.value)"), instanceKey: "i", disk: "vdb", args: args,
                        replyTo: ReplyTo(messageID: "m", queue: "q", timeout: 60), acceptedAt: Date(timeIntervalSince1970: 0))
                    _ = try await journal.accept(record)
                }
            },
            Operation(name: "commit a phase to the journal") { [plan, journal, lastTask] times in
                let id = TaskID("task-\(lastTask.value)")
                for _ in 0..<times { try await journal.enter(id, .copying, plan: plan) }
            },
        ]
    }
}
