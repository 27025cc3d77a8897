import Synchronization
import Testing

@testable import Daemon

@Suite struct StopRequestTests {
    @Test func whoeverIsThereHearsOfIt() {
        let heard = Mutex<[String]>([])
        let stop = StopRequest()
        stop.onRequest { heard.withLock { $0.append("first") } }
        stop.onRequest { heard.withLock { $0.append("second") } }
        #expect(!stop.isRequested)
        stop.request()
        #expect(stop.isRequested)
        stop.onRequest { heard.withLock { $0.append("late") } }
        #expect(heard.withLock { $0 } == ["second", "late"])
    }
}
