import Testing

@testable import Libvirt

@Suite("Unanswered attempts to connect")
struct UnansweredTests {
    @Test("Beyond the limit one more is made now and then, as the other side may be another by now")
    func again() {
        var (unanswered, now) = (Unanswered(), ContinuousClock.now)
        for _ in 0..<Unanswered.limit {
            #expect(unanswered.mayTry(at: now))
            unanswered.begin(at: now)
        }
        #expect(!unanswered.mayTry(at: now))
        now += Unanswered.pause
        #expect(unanswered.mayTry(at: now))
        unanswered.begin(at: now)
        #expect(!unanswered.mayTry(at: now + .seconds(1)))
        for _ in 0..<2 { unanswered.end() }
        #expect(unanswered.mayTry(at: now) && unanswered.count == Unanswered.limit - 1)
    }
}
