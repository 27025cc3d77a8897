import AMQP
import JSON

@testable import Capture
@testable import OsloMessaging
@testable import SwapBus
@testable import VolumeSwap

/// What a body must decode to: a request, or an error that says what is wrong.
enum DecoderCheck {
    /// How an input ended, in few words, and what is wrong with that.
    struct Ending: Sendable {
        var name: String
        var faults: [String] = []

        /// Notes a fault unless the promise is kept.
        mutating func expect(_ isKept: Bool, _ fault: @autoclosure () -> String) { if !isKept { faults.append(fault()) } }
    }

    /// Maximum bytes of an error's text, which goes to the log as it is.
    private static let errorLength = 1024

    static func ending(of body: [UInt8]) -> Ending {
        let line = CaptureLine(capturedAt: nil, exchange: "", routingKey: "", body: .init(body))
        let captured = CapturedMessage(line)
        _ = try? RPCReply(decoding: body)
        do throws(EnvelopeError) {
            return ending(of: try RPCRequest(decoding: body), captured)
        } catch {
            var ending = Ending(name: error.code.rawValue)
            ending.expect(!error.message.isEmpty, "an error without a text")
            ending.expect(error.message.utf8.count <= errorLength, "an error of \(error.message.utf8.count) bytes")
            ending.expect(!error.message.contains(Corpus.secret), "an error quotes a password: \(error)")
            ending.expect(error.replyAddress?.isReserved != true, "an error is sent to the broker's own queue")
            if case .request = captured { ending.faults.append("only a capture's reader takes it for a request") }
            return ending
        }
    }

    private static func ending(of request: RPCRequest, _ captured: CapturedMessage) -> Ending {
        let refusal = ArgumentCheck.refusal(of: request)
        let isKnown = SwapEndpoint.methods.contains(request.method)
        var ending = Ending(
            name: isKnown ? "\(request.method) \(refusal == nil ? "accepted" : "refused")" : "unknown method",
            faults: ArgumentCheck.faults(of: request, refusal))
        if case .request(let read) = captured {
            ending.expect(read == request, "a capture's reader reads another request")
        } else {
            ending.faults.append("a capture's reader takes a request for something else")
        }
        let again = try? RPCRequest(decoding: MessageEnvelope.wrap(request.inner))
        ending.expect(again == request, "written and read again it is another request")
        return ending
    }
}
