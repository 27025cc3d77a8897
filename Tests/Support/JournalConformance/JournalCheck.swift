import Foundation
import JSON
import Testing
@testable package import VolumeSwap

/// What every ``SwapJournal`` must do, whether a file or a fake: one case per promise.
package enum JournalCheck: String, CaseIterable, Sendable {
    case aTaskIsAcceptedOnce
    case phasesAndPlansAreKept
    case aNoteIsStoredBeforeWhatFollows
    case theFirstOutcomeStays
    case laterCallersAreKept
    case limitsAreKept
    case abortsAreKept
    case anEarlyAnswerIsTheOutcome
    case onlyWhatIsOverIsSettled
    case secretsLeaveWithTheSettlement
    case theUnfinishedComeInTheirOrder
    case queriesAreNewestFirst
    case volumesAreFound
    case unknownTasksAreRefused
    case settledTasksArePruned
    case theHistoryIsTold

    /// Runs on an empty journal.
    package func run(on journal: any SwapJournal) async throws {
        let subject = Subject(journal: journal)
        switch self {
        case .aTaskIsAcceptedOnce: try await subject.accept()
        case .phasesAndPlansAreKept: try await subject.phases()
        case .aNoteIsStoredBeforeWhatFollows: try await subject.note()
        case .theFirstOutcomeStays: try await subject.outcome()
        case .laterCallersAreKept: try await subject.ask()
        case .limitsAreKept: try await subject.limit()
        case .abortsAreKept: try await subject.abort()
        case .anEarlyAnswerIsTheOutcome: try await subject.answer()
        case .onlyWhatIsOverIsSettled: try await subject.settle()
        case .secretsLeaveWithTheSettlement: try await subject.secrets()
        case .theUnfinishedComeInTheirOrder: try await subject.unfinished()
        case .queriesAreNewestFirst: try await subject.queries()
        case .volumesAreFound: try await subject.volumes()
        case .unknownTasksAreRefused: try await subject.unknown()
        case .settledTasksArePruned: try await subject.prune()
        case .theHistoryIsTold: try await subject.history()
        }
    }
}

private struct Subject {
    static let secret = "hunter2"
    static let instance = "5a9c2a6c-1f2b-4b5e-9f7a-0d6f6f1f0c11"
    static let failed = SwapOutcome.failure(.rebaseFailed("no space", .noSpace))

    let journal: any SwapJournal

    static func record(_ id: String, instance: String = Subject.instance, disk: String = "vdb") -> SwapRecord {
        let connection: JSONValue = [
            "driver_volume_type": "iscsi", "serial": "new-volume", "data": ["auth_password": .string(secret)],
        ]
        return SwapRecord(
            id: TaskID(id), instanceKey: instance, disk: disk, args: ["new_connection_info": connection],
            context: ["request_id": "req-1"], replyTo: ReplyTo(messageID: "m-\(id)", queue: "reply_1", timeout: 60),
            acceptedAt: Date(timeIntervalSince1970: 1_700_000_000))
    }

    static let plan = SwapPlan(
        SwapPlanFacts(
            domain: DomainIdentity(uuid: instance, name: "instance-1"), disk: "vdb", strategy: .copy,
            oldLocation: .file("/v/old"),
            destination: VolumeSource(location: .block("/dev/vg/new"), format: "raw"), oldBytes: 1 << 30, usesSlice: false,
            wasPersistent: true, savedXML: "<domain/>", isNewConnected: true, options: SwapOptions(), keptElements: ["<target>"],
            attempts: 1, warnings: ["w"]))

    static let success = SwapOutcome.success(
        SwapResult(
            taskID: TaskID("t1"), instanceUUID: instance, disk: "vdb", strategy: .copy, hypervisor: "fake",
            connectionInfo: ["data": ["auth_password": .string(secret), "device_path": "/dev/vg/new"]], capacityBytes: 1 << 30,
            copiedBytes: 1 << 20, duration: 1.5))

    @discardableResult
    private func add(_ id: String, instance: String = Subject.instance, disk: String = "vdb") async throws -> TaskID {
        _ = try await journal.accept(Self.record(id, instance: instance, disk: disk))
        return TaskID(id)
    }

    private func stored(_ id: TaskID) async throws -> SwapRecord { try #require(try await journal.record(id)) }

    func accept() async throws {
        guard case .new = try await journal.accept(Self.record("t1")) else {
            Issue.record("taken for a duplicate")
            return
        }
        try await journal.enter(TaskID("t1"), .preparing, plan: nil)
        guard case .duplicate(let known) = try await journal.accept(Self.record("t1", disk: "vdc")) else {
            Issue.record("accepted twice")
            return
        }
        #expect(known.disk == "vdb" && known.phase == .preparing)
        #expect(known.args == Self.record("t1").args && known.context == Self.record("t1").context)
        #expect(known.replyTo == Self.record("t1").replyTo && !known.isReplied)
        #expect(try await journal.record(TaskID("t2")) == nil)
    }

    func phases() async throws {
        let id = try await add("t1")
        #expect(try await stored(id).phase == .accepted)
        try await journal.enter(id, .starting, plan: Self.plan)
        try await journal.enter(id, .copying, plan: nil)
        #expect(try await stored(id).phase == .copying)
        #expect(try await stored(id).plan == Self.plan)
    }

    func note() async throws {
        let id = try await add("t1")
        journal.note(id, .ready)
        try await journal.enter(id, .pivoting, plan: Self.plan)
        #expect(try await stored(id).phase == .pivoting)
        journal.note(id, .storing)
        #expect(try await stored(id).phase == .storing)
    }

    func outcome() async throws {
        let id = try await add("t1")
        let time = Date(timeIntervalSince1970: 1_700_000_100)
        try await journal.finish(id, Self.success, at: time)
        try await journal.finish(id, Self.failed, at: time + 60)
        try await journal.enter(id, .copying, plan: nil)
        let record = try await stored(id)
        #expect(record.outcome == Self.success && record.phase == .completed && record.finishedAt == time)
        #expect(record.isOver && !record.isReplied)
    }

    func ask() async throws {
        let id = try await add("t1")
        let other = ReplyTo(messageID: "other", queue: "reply_2", timeout: 60)
        try await journal.ask(id, other)
        let record = try await stored(id)
        #expect(record.askers == [other] && record.replyTo == Self.record("t1").replyTo && !record.isReplied)
    }

    func limit() async throws {
        let id = try await add("t1")
        #expect(try await stored(id).bandwidthMiBs == nil)
        try await journal.limit(id, mibS: 7)
        try await journal.limit(id, mibS: 0)
        #expect(try await stored(id).bandwidthMiBs == 0)
    }

    func abort() async throws {
        for id in ["waiting", "begun", "other"] { try await add(id) }
        try await journal.enter(TaskID("begun"), .copying, plan: Self.plan)
        for id in ["waiting", "begun"] { try await journal.abort(TaskID(id)) }
        #expect(try await stored(TaskID("waiting")).isAbortRequested)
        #expect(try await !stored(TaskID("other")).isAbortRequested)
        let requested = try await journal.unfinished().filter { task in
            switch task {
            case .begun(let record): record.isAbortRequested
            case .waiting(let task): task.isAbortRequested
            case .over: false
            }
        }
        #expect(requested.map(\.id.text) == ["begun", "waiting"])
    }

    func answer() async throws {
        let id = try await add("t1")
        try await journal.enter(id, .rollingBack, plan: Self.plan)
        try await journal.answer(id, Self.failed)
        try await journal.answer(id, .failure(.rebaseFailed("another")))
        #expect(try await stored(id).outcome == Self.failed)
        #expect(try await stored(id).phase == .rollingBack)
        try await journal.forgetReply(id)
        #expect(try await stored(id).isReplied)
        var ended = SwapFailure.rebaseFailed("another reason")
        ended.conclusion = SwapConclusion(reason: "it's undone", inUse: .old, leftBehind: ["a \"file\""])
        ended.course = SwapCourse(instanceUUID: Self.instance, strategy: .copy, copiedBytes: 1, totalBytes: 2, isStranded: true)
        try await journal.finish(id, .failure(ended), at: .now)
        let record = try await stored(id)
        guard case .failure(var told)? = record.outcome else { return #expect(Bool(false), "no failure") }
        #expect(told.conclusion == ended.conclusion && told.course == ended.course && record.phase == .failed && record.isOver)
        #expect(try await journal.records(SwapQuery(isStranded: true)).map(\.id) == [id])
        (told.conclusion, told.course) = (nil, nil)
        #expect(.failure(told) == Self.failed)
    }

    func settle() async throws {
        let id = try await add("t1")
        try await journal.enter(id, .copying, plan: Self.plan)
        try await journal.settle(id)
        #expect(try await !stored(id).isReplied)
        #expect(try await stored(id).plan == Self.plan)
        try await journal.finish(id, Self.failed, at: .now)
        try await journal.settle(id)
        try await journal.settle(id)
        #expect(try await stored(id).isReplied)
        #expect(try await journal.unfinished().isEmpty)
    }

    func secrets() async throws {
        let id = try await add("t1")
        try await journal.enter(id, .copying, plan: Self.plan)
        try await journal.finish(id, Self.success, at: .now)
        #expect("\(try await stored(id).args)".contains(Self.secret))
        try await journal.settle(id)
        let record = try await stored(id)
        #expect(record.plan == nil)
        #expect(!JSONValue.object(record.args).serialized().contains(Self.secret))
        guard case .success(let result) = record.outcome else {
            Issue.record("the outcome is lost")
            return
        }
        #expect(result.connectionInfo["data"]?["auth_password"] == "***")
        #expect(result.connectionInfo["data"]?["device_path"] == "/dev/vg/new")
    }

    func unfinished() async throws {
        for id in ["waiting", "begun", "over", "told", "settled"] { try await add(id) }
        try await journal.enter(TaskID("begun"), .copying, plan: Self.plan)
        try await journal.answer(TaskID("told"), Self.failed)
        for id in ["over", "settled"] { try await journal.finish(TaskID(id), Self.failed, at: .now) }
        try await journal.settle(TaskID("settled"))
        let tasks = try await journal.unfinished()
        #expect(tasks.map(\.id.text) == ["begun", "told", "waiting", "over"])
        let kinds = tasks.map { task in
            switch task {
            case .begun: "begun"
            case .waiting(let task):
                "waiting \(task.instanceKey == Self.instance) \(task.disk) \(task.newVolumeIDs) \(task.callers.map(\.queue))"
            case .over: "over"
            }
        }
        #expect(kinds == ["begun", "begun", #"waiting true vdb ["new-volume"] ["reply_1"]"#, "over"])
    }

    func queries() async throws {
        try await add("t1")
        try await add("t2", disk: "vdc")
        try await add("t3", instance: "name:instance-2")
        try await journal.finish(TaskID("t1"), Self.failed, at: .now)
        func ids(_ query: SwapQuery) async throws -> [String] { try await journal.records(query).map(\.id.text) }
        #expect(try await ids(SwapQuery()) == ["t3", "t2", "t1"])
        #expect(try await ids(SwapQuery(limit: 2)) == ["t3", "t2"])
        #expect(try await ids(SwapQuery(instanceKeys: [Self.instance])) == ["t2", "t1"])
        #expect(try await ids(SwapQuery(instanceKeys: [Self.instance, "name:instance-2"], disk: "vdc")) == ["t2"])
        #expect(try await ids(SwapQuery(instanceKeys: ["name:instance-2"])) == ["t3"])
        #expect(try await ids(SwapQuery(instanceKeys: ["instance-2", Self.instance.uppercased()])) == [], "keys are whole")
        #expect(try await ids(SwapQuery(states: ["failed"])) == ["t1"])
        #expect(try await ids(SwapQuery(states: ["queued"])) == ["t3", "t2"])
        #expect(try await ids(SwapQuery(isStranded: true)) == [])
        var query = SwapQuery()
        query.idPrefix = "t"
        #expect(try await ids(query) == ["t3", "t2", "t1"])
        query.idPrefix = "t2"
        #expect(try await ids(query) == ["t2"])
        query.idPrefix = "T2"
        #expect(try await ids(query) == [])
        var stranded = SwapFailure.rebaseFailed(#"lost track of the "isStranded":true pivot"#)
        stranded.course = SwapCourse(
            instanceUUID: Self.instance, strategy: .copy, copiedBytes: 1, totalBytes: 1, isStranded: true)
        try await journal.finish(TaskID("t2"), .failure(stranded), at: .now)
        stranded.course?.isStranded = nil
        try await journal.finish(TaskID("t3"), .failure(stranded), at: .now)
        #expect(try await ids(SwapQuery(isStranded: true)) == ["t2"])
    }

    func volumes() async throws {
        for (id, old, new) in [("t1", "v1", "v2"), ("t2", "v2", "v3"), ("t3", "v12", "%")] {
            var record = Self.record(id)
            record.args["old_volume_id"] = .string(old)
            record.args["new_volume_id"] = .string(new)
            record.args["instance"] = ["name": "v3"]
            _ = try await journal.accept(record)
        }
        func ids(_ volume: String) async throws -> [String] {
            var query = SwapQuery()
            query.volumeID = volume
            return try await journal.records(query).map(\.id.text)
        }
        #expect(try await ids("v2") == ["t2", "t1"])
        #expect(try await ids("v3") == ["t2"], "only volumes count")
        #expect(try await ids("%") == ["t3"])
        #expect(try await ids("v") == [])
        #expect(try await ids("\"") == [])
    }

    func history() async throws {
        let id = try await add("t1")
        journal.note(id, .preparing)
        journal.remark(id, "vdb from file /v/old to block /dev/vg/new")
        try await journal.enter(id, .starting, plan: Self.plan)
        journal.note(id, .copying)
        journal.remark(id, "abort requested")
        journal.remark(id, "rolls back")
        try await journal.finish(id, Self.failed, at: .now)
        try await journal.settle(id, .givenUp)
        journal.remark(TaskID("nobody"), "nothing")
        let events = try await journal.history(id).map(\.event)
        #expect(
            events == [
                .phase(.preparing), .note("vdb from file /v/old to block /dev/vg/new"), .phase(.starting), .phase(.copying),
                .note("abort requested"), .note("rolls back"), .phase(.failed), .reply(.givenUp),
            ])
        #expect(try await journal.history(TaskID("nobody")).isEmpty)
    }

    func unknown() async throws {
        let id = TaskID("nobody")
        for write in [
            { try await journal.enter(id, .copying, plan: nil) }, { try await journal.finish(id, Self.failed, at: .now) },
            { try await journal.answer(id, Self.failed) },
        ] as [() async throws -> Void] {
            let error = await #expect(throws: JournalError.self) { try await write() }
            #expect(error?.code == .unusable)
        }
    }

    func prune() async throws {
        let old = Date(timeIntervalSince1970: 1_700_000_000)
        for id in ["open", "unsettled", "old", "new"] { try await add(id) }
        for id in ["unsettled", "old"] { try await journal.finish(TaskID(id), Self.failed, at: old) }
        try await journal.finish(TaskID("new"), Self.failed, at: old + 100)
        for id in ["old", "new"] { try await journal.settle(TaskID(id)) }
        #expect(try await journal.prune(before: old + 50) == 1)
        #expect(try await journal.records(SwapQuery()).map(\.id.text) == ["new", "unsettled", "open"])
    }
}

extension SwapJournal {
    /// ``settle(_:_:)`` of a task without a reply.
    package func settle(_ id: TaskID) async throws(JournalError) { try await settle(id, nil) }
    /// ``forgetReply(_:_:)`` of a delivered reply.
    package func forgetReply(_ id: TaskID) async throws(JournalError) { try await forgetReply(id, .delivered) }
}
