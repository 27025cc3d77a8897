internal import COpenSSL
internal import Glibc

/// Has OpenSSL itself verify the broker's certificate and say why it was refused: librabbitmq only compares DNS names, and only
/// reports that verification failed.
@safe
final class PeerVerification {
    private let tls: AMQPTLS
    private let host: String
    /// OpenSSL's `X509_V_ERR_…` of the last refusal.
    private let error: UnsafeMutablePointer<Int32>

    init(_ tls: AMQPTLS, host: String) {
        self.tls = tls
        self.host = host
        unsafe error = .allocate(capacity: 1)
        unsafe error.initialize(to: X509_V_OK)
    }

    deinit { unsafe error.deallocate() }

    /// Sets up an `SSL_CTX`, which must not outlive this object.
    func apply(to context: UnsafeMutableRawPointer) -> Bool {
        copenssl_clear_errors()
        guard tls.verifyPeer else { return true }
        guard tls.verifyHostname else { return unsafe copenssl_verify_peer(context, nil, nil, error) == 1 }
        return Self.isAddress(host)
            ? unsafe copenssl_verify_peer(context, nil, host, error) == 1
            : unsafe copenssl_verify_peer(context, host, nil, error) == 1
    }

    private static func isAddress(_ host: String) -> Bool {
        var address = in6_addr()
        return unsafe inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1
    }

    /// What failed, for an operator; nil if OpenSSL reports nothing.
    var reason: String? {
        unsafe Self.reason(verification: error.pointee, handshake: copenssl_last_reason(), host: host, tls)
    }

    /// A guess for a broker that ends the connection right after the handshake: its alert is lost if a write fails before it is
    /// read.
    func likelyReason(of error: AMQPError) -> String? {
        guard error.replyCode == nil, error.code != .timedOut else { return nil }
        let wish =
            tls.certFile.map { "refuse the client certificate \($0)" }
            ?? "want a client certificate (ssl_cert_file, ssl_key_file)"
        return "the broker closed the connection right after the handshake; it may \(wish)"
    }

    /// - Parameters:
    ///   - verification: An `X509_V_ERR_…`.
    ///   - handshake: An `SSL_R_…`; 0 for none.
    static func reason(verification: Int32, handshake: Int32, host: String, _ tls: AMQPTLS) -> String? {
        switch verification {
        case X509_V_OK: break
        case X509_V_ERR_CERT_HAS_EXPIRED: return "the broker's certificate has expired"
        case X509_V_ERR_CERT_NOT_YET_VALID: return "the broker's certificate is not valid yet"
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            return "the broker's certificate is not for \(host)"
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_CERT_SIGNATURE_FAILURE:
            return "the broker's certificate is not from an authority in \(tls.caFile ?? "the system's bundle")"
        default:
            let text = unsafe X509_verify_cert_error_string(Int(verification)).map { unsafe String(cString: $0) }
            return "the broker's certificate is refused: \(text ?? "\(verification)")"
        }
        switch handshake {
        case 0: return nil
        case SSL_R_WRONG_VERSION_NUMBER: return "the broker does not speak TLS on this port"
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
            return "the broker requires a client certificate (ssl_cert_file, ssl_key_file)"
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE where tls.certFile == nil:
            return "the broker refuses the handshake; it may want a client certificate (ssl_cert_file, ssl_key_file)"
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA, SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
            SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
            return "the broker refuses the client certificate \(tls.certFile ?? "")"
        default: return nil
        }
    }
}
