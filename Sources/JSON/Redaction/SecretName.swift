/// Decides which names are names of secrets.
package enum SecretName {
    /// Whether a member or option of this name holds a secret, wherever it stands.
    ///
    /// References to secrets (`secret_uuid`, `secret_type`) do not count: a replay needs them.
    package static func isSecret(_ name: String) -> Bool { isSecret(name.utf8.span) }

    static func isSecret(_ name: Span<UInt8>) -> Bool {
        let looksSecret =
            endings.contains { ends(name, with: $0) } || options.contains { !equals(name, $0) && ends(name, with: $0) }
            || hasSuffix(name, key) && keyed.appear(in: name) || words.appear(in: name)
        return looksSecret && !harmless.contains { ends(name, with: $0) } && !equals(name, taskToken)
    }

    /// Whether a member of this name holds a secret, too, in `{"NAME": …}`. In a sentence it may be an ordinary word.
    static func isSecretAsMember(_ name: Span<UInt8>) -> Bool { members.contains { equals(name, $0) } }

    /// Whether a secret follows `NAME=`, as in mount.cifs options. `NAME` after a separator, as in `DB_PASS`, always names one.
    static func isSecretOption(_ name: Span<UInt8>) -> Bool { options.contains { equals(name, $0) } }

    /// Whether it is `key`, which is Ceph's in `key=…` but may be any in `key: …`.
    static func isKey(_ name: Span<UInt8>) -> Bool { equals(name, key) }

    /// Whether a blank separates this name from its secret, as in `Bearer TOKEN`.
    static func isScheme(_ name: Span<UInt8>) -> Bool { schemes.contains { equals(name, $0) } }

    private static let harmless = letters("secret_uuid", "secret_uuids", "secretuuid", "secret_type")
    /// The caller's own id for a task, which a replay needs.
    private static let taskToken = Array("request_token".utf8)
    private static let words = Words(
        "password", "passwd", "passphrase", "pass_phrase", "passcode", "secret", "token", "keyring", "credential")
    private static let endings = letters(
        "adminpass", "admin_pass", "api_key", "apikey", "user_key", "userkey", "rbd_key", "luks_key", "tls_key", "mac_key", "psk",
        "dsn", "connection_string", "authorization", "cookie", "provider_auth")
    /// Words whose every key is secret: `chap_key`, `cephAdminKey`.
    private static let keyed = Words(
        "chap", "ceph", "auth", "access", "client", "session", "encryption", "private", "master", "shared", "fernet", "hmac")
    private static let options = letters("pass", "pwd", "pw")
    private static let members = options + letters("key", "bearer", "cred", "creds", "jwt", "otp")
    private static let schemes = letters("bearer", "basic")
    private static let key = Array("key".utf8)

    private static func letters(_ names: String...) -> [[UInt8]] { names.map { Array($0.utf8) } }

    /// Words to look for anywhere in a name.
    private struct Words {
        private let words: [[UInt8]]
        /// A bit for each letter that a word begins with: most letters of most names begin none.
        private let initials: UInt32

        init(_ words: String...) {
            self.words = words.map { Array($0.utf8) }
            initials = self.words.reduce(0) { $0 | Self.bit($1[0]) }
        }

        func appear(in name: Span<UInt8>) -> Bool {
            for start in name.indices where initials & Self.bit(folded(name[start])) != 0 {
                for word in words where matches(name, at: start, word) { return true }
            }
            return false
        }

        private static func bit(_ letter: UInt8) -> UInt32 {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(letter) ? 1 << (letter - UInt8(ascii: "a")) : 0
        }
    }

    private static func equals(_ name: Span<UInt8>, _ letters: [UInt8]) -> Bool {
        name.count == letters.count && matches(name, at: 0, letters)
    }

    /// Whether the name equals this, or ends with it after a separator.
    private static func ends(_ name: Span<UInt8>, with letters: [UInt8]) -> Bool {
        let start = name.count - letters.count
        guard start >= 0, matches(name, at: start, letters) else { return false }
        return start == 0 || folded(name[start - 1]) == UInt8(ascii: "_")
    }

    private static func hasSuffix(_ name: Span<UInt8>, _ letters: [UInt8]) -> Bool {
        name.count >= letters.count && matches(name, at: name.count - letters.count, letters)
    }

    /// Whether these letters stand there, in either case.
    private static func matches(_ name: Span<UInt8>, at start: Int, _ letters: [UInt8]) -> Bool {
        guard start + letters.count <= name.count else { return false }
        for offset in letters.indices {
            guard folded(name[start + offset]) == letters[offset] else { return false }
        }
        return true
    }

    /// Folds capitals to small letters, and `-` and `.` to `_`.
    private static func folded(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        case UInt8(ascii: "-"), UInt8(ascii: "."): UInt8(ascii: "_")
        default: byte
        }
    }
}
