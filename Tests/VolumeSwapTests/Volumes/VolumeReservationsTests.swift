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
}
