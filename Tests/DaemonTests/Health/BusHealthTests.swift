import AMQP
import Observability
import OsloMessaging
import Testing

@testable import Daemon

@Suite struct BusHealthTests {
    static let well = BusHealth.Sight(
        consuming: .init(isConnected: true), publishing: .init(isConnected: true), isConsuming: true, blockedReason: nil,
        serving: .consuming, oldestUnconfirmed: .zero)

    func detail(_ change: (inout BusHealth.Sight) -> Void) -> String {
        var sight = Self.well
        change(&sight)
        let check = BusHealth.verdict(sight)
        #expect(!check.isOK)
        return check.detail
    }

    @Test func nothingIsSaidOfABusThatIsWell() {
        let check = BusHealth.verdict(Self.well)
        #expect(check.isOK)
        #expect(check.detail.isEmpty)
    }

    @Test(arguments: [
        (AMQPError.Code.authenticationFailed, "the broker refused the user name, the password or the virtual host: x"),
        (.connectFailed, "no broker: x"), (.tls, "no TLS connection to the broker: x"),
        (.channelClosed, "the broker refused a declaration: x"),
        (.timedOut, "the connection to the broker was lost: timed out: x"),
    ])
    func theReasonIsInWords(code: AMQPError.Code, text: String) {
        let failure = AMQPError(code: code, message: "x")
        #expect(detail { $0.consuming = .init(isConnected: false, failure: failure) } == text)
        #expect(detail { $0.publishing = .init(isConnected: false, failure: failure) } == text)
    }

    @Test func aBrokerThatTakesNothingIsNotReady() {
        #expect(detail { $0.blockedReason = "low on memory" }.contains("memory or disk alarm (low on memory)"))
        #expect(detail { $0.oldestUnconfirmed = .seconds(31) }.hasSuffix("has not been confirmed for 31 s"))
        #expect(detail { $0.serving = .suspended(reason: "disk full") } == "swaps are not accepted: disk full")
        #expect(detail { $0.isConsuming = false }.hasPrefix("not consuming"))
        #expect(detail { $0.consuming = .init(isConnected: false) } == "no connection to the broker yet")
    }
}
