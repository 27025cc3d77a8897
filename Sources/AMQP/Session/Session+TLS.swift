internal import CRabbitMQ
internal import Glibc

extension Session {
    func tlsSocket(_ tls: AMQPTLS, _ verification: PeerVerification) throws(AMQPError) -> OpaquePointer {
        guard let socket = unsafe amqp_ssl_socket_new(state) else {
            throw AMQPError(code: .tls, message: "cannot set up OpenSSL")
        }
        unsafe amqp_ssl_socket_set_verify_peer(socket, tls.verifyPeer ? 1 : 0)
        // OpenSSL checks it during the handshake, and knows addresses too.
        unsafe amqp_ssl_socket_set_verify_hostname(socket, 0)
        guard let context = unsafe amqp_ssl_socket_get_context(socket), unsafe verification.apply(to: context) else {
            throw AMQPError(code: .tls, message: "cannot set up the verification of the broker's certificate")
        }
        unsafe _ = amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST)
        if let caFile = tls.caFile ?? (tls.verifyPeer ? Self.systemBundle : nil) {
            guard unsafe amqp_ssl_socket_set_cacert(socket, caFile) == AMQP_STATUS_OK.rawValue else {
                throw AMQPError(code: .tls, message: "cannot use the CA file \(caFile)")
            }
        }
        switch (tls.certFile, tls.keyFile) {
        case (let certFile?, let keyFile?):
            guard unsafe amqp_ssl_socket_set_key(socket, certFile, keyFile) == AMQP_STATUS_OK.rawValue else {
                throw AMQPError(code: .tls, message: "cannot use the certificate \(certFile) with the key \(keyFile)")
            }
        case (nil, nil): break
        default: throw AMQPError(code: .tls, message: "a client certificate needs both its file and its key's")
        }
        return unsafe socket
    }

    /// The system's CA bundle: librabbitmq 0.11 has no call for OpenSSL's default paths.
    private static var systemBundle: String? {
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"]
            .first { unsafe access($0, R_OK) == 0 }
    }
}
