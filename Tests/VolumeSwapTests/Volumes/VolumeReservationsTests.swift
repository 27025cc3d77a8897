import Testing

@testable import VolumeSwap

@Suite("VolumeReservations")
struct VolumeReservationsTests {
    static let volume = VolumeIdentity(text: .file("/volumes/new"))

    @Test("A volume belongs to one task until it is released")
    func exclusive() throws {
        let reservations = VolumeReservations()
        try reservations.reserve(Self.volume, for: TaskID("first"))
        try reservations.reserve(Self.volume, for: TaskID("first"))
        let failure = Fixture.failure { try reservations.reserve(Self.volume, for: TaskID("second")) }
        #expect(failure?.kind == .invalidVolume)
        #expect(failure?.code == .newVolumeInUse)
        #expect(failure?.reason.contains("first") == true)
        reservations.release(TaskID("second"))
        #expect(reservations.holder(of: Self.volume, otherThan: TaskID("second")) == TaskID("first"))
        #expect(reservations.holder(of: Self.volume, otherThan: TaskID("first")) == nil)
        reservations.release(TaskID("first"))
        try reservations.reserve(Self.volume, for: TaskID("second"))
    }

    @Test("Any name reserves a volume; reservations add up, and a refused one adds nothing")
    func names() throws {
        let reservations = VolumeReservations()
        try reservations.reserve(VolumeIdentity(ids: ["v"]), for: TaskID("first"))
        try reservations.reserve(Self.volume, for: TaskID("first"))
        let both = VolumeIdentity(ids: ["V"]).union(VolumeIdentity(text: .file("/volumes/other")))
        #expect(throws: SwapFailure.self) { try reservations.reserve(both, for: TaskID("second")) }
        try reservations.reserve(VolumeIdentity(text: .file("/volumes/other")), for: TaskID("third"))
        #expect(throws: SwapFailure.self) { try reservations.reserve(Self.volume, for: TaskID("third")) }
    }

    @Test("The task accepted first gets a volume, in whichever order they reserve it; its release frees the volume")
    func order() throws {
        let reservations = VolumeReservations()
        for (number, id) in [(2, "later"), (1, "z-first"), (3, "last")] as [(UInt64, String)] {
            reservations.intend(Self.volume, for: TaskID(id), number: number)
        }
        #expect(reservations.claim(Self.volume, for: TaskID("last")) == TaskID("z-first"))
        #expect(reservations.claim(Self.volume, for: TaskID("later")) == TaskID("z-first"))
        try reservations.reserve(Self.volume, for: TaskID("z-first"))
        let failure = Fixture.failure { try reservations.reserve(Self.volume, for: TaskID("later")) }
        #expect(failure?.code == .newVolumeInUse && failure?.reason.contains("task z-first") == true)
        reservations.release(TaskID("z-first"))
        #expect(reservations.claim(Self.volume, for: TaskID("last")) == TaskID("later"))
        reservations.release(TaskID("later"))
        try reservations.reserve(Self.volume, for: TaskID("last"))
        reservations.release(TaskID("last"))
        #expect(reservations.holder(of: Self.volume, otherThan: nil) == nil)
    }

    @Test("What has been reserved stays with its task, whoever was accepted before")
    func reservedFirst() throws {
        let reservations = VolumeReservations()
        try reservations.reserve(Self.volume, for: TaskID("unnumbered"))
        reservations.intend(Self.volume, for: TaskID("first"), number: 1)
        #expect(reservations.claim(Self.volume, for: TaskID("first")) == TaskID("unnumbered"))
    }

    @Test("A check counts every intention but those of the same disk; a disconnect also those of tasks accepted later")
    func looks() throws {
        let reservations = VolumeReservations()
        let (queued, leaving) = (TaskID("queued"), TaskID("leaving"))
        reservations.intend(VolumeIdentity(ids: ["another"]), for: leaving, number: 1)
        reservations.intend(Self.volume, for: queued, number: 2)
        #expect(throws: SwapFailure.self) { try reservations.check(Self.volume, except: []) }
        try reservations.check(Self.volume, except: [queued])
        #expect(reservations.claimToDisconnect(Self.volume, for: leaving) == queued)
        reservations.release(queued)
        #expect(reservations.claimToDisconnect(Self.volume, for: leaving) == nil)
        #expect(reservations.claim(Self.volume, for: queued) == leaving)
    }
}
