import Testing

@testable import AMQP

@Suite("Messages for TLS handshake failures")
struct PeerVerificationTests {
    // X509_V_ERR_… and SSL_R_… of OpenSSL 1.1.1 and 3.
    @Test(arguments: [
        (10, 134, "has expired"), (9, 134, "not valid yet"), (62, 134, "not for broker1"), (64, 134, "not for broker1"),
        (18, 134, "not from an authority in /ca.pem"), (20, 134, "not from an authority in /ca.pem"),
        (23, 134, "refused: "), (0, 267, "does not speak TLS"), (0, 1116, "requires a client certificate"),
        (0, 1040, "may want a client certificate"), (0, 1048, "refuses the client certificate"),
    ])
    func texts(verification: Int32, handshake: Int32, text: String) {
        let reason = PeerVerification.reason(
            verification: verification, handshake: handshake, host: "broker1", AMQPTLS(caFile: "/ca.pem"))
        #expect(reason?.contains(text) == true, "\(reason ?? "nil")")
    }

    @Test("No message if OpenSSL reports nothing")
    func nothing() {
        #expect(PeerVerification.reason(verification: 0, handshake: 0, host: "h", AMQPTLS()) == nil)
    }
}
