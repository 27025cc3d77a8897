import Foundation
import JSON
import Testing

/// Draws the same numbers for the same seed (SplitMix64).
private struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct SecretMaskTests {
    private func redacted(_ text: String) -> String { String(decoding: redacted(Array(text.utf8)), as: UTF8.self) }

    private func redacted(_ bytes: [UInt8]) -> [UInt8] {
        var redaction = Redaction()
        return redaction.redacted(bytes)
    }

    @Test(arguments: [
        (#"{"auth_password": "hunter2", "a": 1"#, #"{"auth_password": "***", "a": 1"#),
        (#"{\"auth_password\": \"hun\\\"ter2\", \"a\": 1"#, #"{\"auth_password\": \"***\", \"a\": 1"#),
        (#"{'auth_password': 'hunter2', 'a': 1}"#, #"{'auth_password': '***', 'a': 1}"#),
        ("{u'auth_password': u'hunter2', b'a': b''}", "{u'auth_password': u'***', b'a': b''}"),
        ("password=hunter2, disk=vdb", "password=***, disk=vdb"),
        (#"{"auth_token": "hunter2"#, #"{"auth_token": "***"#),
        (#"{"password": ["hun]ter2"], "a": 1"#, #"{"password": ***, "a": 1"#),
        (#"{"password": {"v": "hunter2"}, "a": 1"#, #"{"password": ***, "a": 1"#),
        (#"{"password": {"v": "hunter2", "a": 1"#, #"{"password": ***"#),
        (#"{"key": "hunter2", "a": 1"#, #"{"key": "***", "a": 1"#),
        (#""password" => "hunter2", "a" => 1"#, #""password" => "***", "a" => 1"#),
        ("password = u'hun''ter2' x=1", "password = u'***' x=1"),
        ("password: |\n  hunter2\n  more\nuser: me", "password: |\n***\nuser: me"),
        ("password: >-\n  hunter2", "password: >-\n***"),
        ("password=hun;t,e r2] user=me", "password=***] user=me"), ("password=hun&ter2", "password=***"),
        ("password=hunter2==, user=me", "password=***, user=me"),
        ("rabbit://u:hunter2@h:5672,v:hunter2@i/x failed", "rabbit://u:***@i/x failed"),
        ("rabbit://u:hun/ter2@h/x failed", "rabbit://u:***@h/x failed"),
        ("{\"password\"\t:\n  \"hunter2\"", "{\"password\"\t:\n  \"***\""),
        ("auth-password: hunter2;\nx", "auth-password: ***\nx"),
        ("api-key=hunter2&x=1", "api-key=***&x=1"), ("--token=hunter2", "--token=***"),
        ("password = hun)ter2", "password = ***"), ("auth_password: <hun<ter2", "auth_password: ***"),
        ("auth_password=<Secret value='hunter2'> x", "auth_password=*** x"),
        ("mount -o user=me,pass=hunter2,x=1", "mount -o user=me,pass=***,x=1"),
        ("--password hunter2 --user me", "--password *** --user me"), ("--auth-token 'hun ter2' x", "--auth-token '***' x"),
        ("['--password', 'hun ter2', 'x']", "['--password', '***', 'x']"),
        ("-n node.session.auth.password -v hunter2 x", "-n node.session.auth.password -v *** x"),
        ("'node.session.auth.password', '-v', 'hunter2'", "'node.session.auth.password', '-v', '***'"),
        ("Authorization: Bearer hunter2 x=1\r\nHost: h", "Authorization: ***\r\nHost: h"),
        (#"-H "X-Auth-Token: hunter2" u"#, "-H \"X-Auth-Token: ***"), ("Cookie: a=hunter2; b=hunter2", "Cookie: ***"),
        ("with Bearer hunter2", "with Bearer ***"), ("Basic aHVudGVyMg==", "Basic ***"),
        ("<password>hunter2</password>", "<password>***</password>"),
        ("<auth_password type='x'>hunter2<", "<auth_password type='x'>***<"),
        ("<secret>\n <value>hunter2</value></secret>", "<secret>\n <value>***</value></secret>"),
        ("rbd:vol/x:id=cinder:key=hunter2:conf=c", "rbd:vol/x:id=cinder:key=***"),
        ("key = AQBSdFhcHn+xKhAAzZ3m8a/0YQ1Zl6Vb3nYvKw==", "key = ***"),
        ("the password is hunter2, he said", "the password is ***, he said"),
        ("password 'hunter' rejected", "password '***' rejected"),
        (
            "x-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
            "x-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----"
        ),
        ("password\u{1}\u{7}hunter2", "password***"),
        ("-----BEGIN PRIVATE KEY-----END", "-----BEGIN PRIVATE KEY-----***"),
        ("-----BEGIN PRIVATE KEY------END", "-----BEGIN PRIVATE KEY-----***"),
        ("-----BEGIN PRIVATE KEY--\n-----END", "-----BEGIN PRIVATE KEY--\n--***"),
        ("password%3Dhunter2&x=1", "password%3D***&x=1"), (#"password\x3dhunter2"#, #"password\x3d***"#),
        ("auth_password%22%3A%20%22hunter2%22%2C x=1", "auth_password%22%3A%20%22*** x=1"),
        ("&quot;auth_password&quot;: &quot;hunter2&quot; x=1", "&quot;auth_password&quot;: &quot;***; x=1"),
        (#"[client.cinder]\n\tkey = AQBSdFhcHnKxKhAAzZ3m8a/0YQ1Zl6Vb3nYvKw=="#, #"[client.cinder]\n\tkey = ***"#),
        (#"\"password\": \"\"\"hunter2\"\"\" x=1"#, #"\"password\": \"***\"\"\" x=1"#),
        ("auth_password -> hunter2", "auth_password -> ***"), ("| auth_password | hunter2 |", "| auth_password | *** |"),
        ("set_password(user, 'hunter2')", "set_password(user, '***')"), ("setPassword(hunter2)", "setPassword(***)"),
        ("secret value: hunter2", "secret value: ***"), ("token id hunter2 expired", "token id *** expired"),
        ("my password's \"hunter\"", "my password'***"), ("DB_PASS: hunter", "DB_PASS: ***"),
        ("--object secret,id=sec0,data=hunter2 x", "--object secret,id=sec0,data=***"),
        (#"-object {"qom-type":"secret","id":"a","data":"hunter2"}"#, #"-object {"qom-type":"secret","id":"a","data":"***"}"#),
        ("<password value=\"hunter2\"/>", "<password value=\"***\"/>"),
        ("<secret type='x' value='hunter2'/>", "<secret type='x' value='***'/>"),
        ("<password><![CDATA[hunter2]]></password>", "<password>***</password>"),
        (
            "<secret><usage type='ceph'/><value>hunter2</value></secret>",
            "<secret><usage type='ceph'/><value>***</value></secret>"
        ),
        ("rbd --key AQBSdFhcHnFKxKhAAzZ3m8aB0YQ1Zl6Vb3nYvA== x", "rbd --key *** x"),
        ("<key>AQBSdFhcHnFKxKhAAzZ3m8aB0YQ1Zl6Vb3nYvA==</key>", "<key>***</key>"),
        ("iscsi://user%hunter2@192.0.2.1:3260/iqn/0", "iscsi://user%***@192.0.2.1:3260/iqn/0"),
        ("--name=node.session.auth.password --value=hunter2 x", "--name=node.session.auth.password --value=*** x"),
        (#"--password 'pw'"'"'hunter2' x"#, "--password '***"),
        ("{'name': 'auth_password', 'value': 'hunter2'}", "{'name': 'auth_password', 'value': '***'}"),
        ("'provider_auth': 'CHAP u hunter2'", "'provider_auth': '***'"), ("dhchap_ctrlr_key=hunter", "dhchap_ctrlr_key=***"),
        ("password:hunter2", "password:***"), ("username/password: hunter2", "username/password: ***"),
        ("rbd --key AQBSdFhcHn+xKhAAzZ3m8a/hunter2q== x", "rbd --key *** x"), ("CHAP key: hunter2", "CHAP key: ***"),
        ("(b'-n', b'node.session.auth.password', b'-v', b'hunter2')", "(b'-n', b'node.session.auth.password', b'-v', b'***')"),
        ("C(auth_password=Token(id='hunter2'))", "C(auth_password=***"), ("password set to 'hunter2'", "password set to '***'"),
        ("password mismatch, got 'hunter2'", "password mismatch, got '***'"), ("pass: hunter2", "pass: ***"),
        ("password='a'+'hunter2'", "password='***"),
        ("<key>password</key><string>hunter2</string>", "<key>password</key><string>***</string>"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nhunter2\n-----END", "-----BEGIN PGP PRIVATE KEY BLOCK-----***-----END"),
        ("<secret>hunter2</secret>", "<secret>***</secret>"), ("<a><secret x='y'>hunter2</sec", "<a><secret x='y'>***</sec"),
        ("<param name=\"password\">hunter2</param>", "<param name=\"password\">***</param>"),
        ("key DHHC-1:00:hunter2==: x", "key DHHC-1*** x"),
        ("got gAAAAABhunter2hunter2hunter2hunter2hunter2 back", "got *** back"),
    ])
    func masks(_ text: String, _ masked: String) {
        #expect(redacted(text) == masked)
        #expect(redacted(masked) == masked)
        #expect(redacted([0xff, 0x20] + Array(text.utf8)) == [0xff, 0x20] + Array(masked.utf8))
    }

    @Test(arguments: [
        "secret-uuid=abc", "the password is wrong", "secret_uuid=abc for rbd://h/x", "http://h:80/a@b", "pass: word",
        "routing key: notifications.error", "key=value", "Secret not found: no secret with matching uuid 'x'", "basic checks",
        "<secret type='ceph' uuid='x'/>", "no password", "password", "password=", "-----BEGIN CERTIFICATE-----\nabc",
        "the token has expired", "rbd://h:6789/x@y", "rbd://h1:6789,h2:6789/pool/img@snap", "http://[fd00::1]:8776/v3/p@q",
        "password authentication failed for user nova1",
        "Volume rebase failed: disk vdb: the copy failed: No space left on device",
        "Failed to get secret for volume 457eb676-33da-42ec-9a8c-9293d545c337: Secret not found",
        "secret uuid 457eb676-33da-42ec-9a8c-9293d545c337", "Secret '457eb676-33da-42ec-9a8c-9293d545c337' not found",
        "could not get secret from libvirt: Secret not found", "Token expired at 2026-11-28T10:00:00Z",
        "check keyring /etc/ceph/ceph.client1.keyring", "/var/lib/nova/secrets/volume-1234 does not exist",
        "http://10.0.0.1:9311/v1/secrets/abc123?x=1", "password is too short (8 characters needed)",
        "No key available with this passphrase.", "iSCSI login failed due to authorization failure", "data=ordered",
        "secret-nas:/volumes", "token1:3260", "iqn.2010-10.org.openstack:secret:vol12", "/mnt/token=/x12345",
        "(using password: YES)",
        "POST http://controller:5000/v3/auth/tokens: 401", "Failed to open file '/etc/pivotd/token': Permission denied",
        #""auth_token": null, 'auth_token': None, password_set=false"#, "lacks: ['auth_password', 'target_iqn']",
        "<secret type='ceph'><uuid>457eb676-33da-42ec-9a8c-9293d545c337</uuid></secret>", "AQ==", "GPT: invalid signature 0x5452",
        "password=\nuser=me\ntarget=iqn.x", "password:\nuser: me", "cache key: volume-1", "second pass 12345 of 3",
        "Secret not found: no secret with matching usage 'volume-1'",
        "auth_method: CHAP, auth_username: cinder, target_portal: 10.0.0.1:3260",
    ])
    func leavesTheRestAlone(_ text: String) { #expect(redacted(text) == text) }

    @Test func binaryValuesAreMaskedToTheEnd() {
        let messagePack = Array("\u{81}".utf8.dropFirst()) + [0xad] + Array("auth_password".utf8) + [0xa7] + Array("hunter2".utf8)
        #expect(redacted(messagePack).suffix(16).elementsEqual("auth_password***".utf8))
    }

    /// Names, values and signs in any succession: no part of a value is ever left, in time linear in the text.
    @Test(arguments: 1...3) func noPartOfAValueIsLeft(seed: UInt64) {
        var choice = Seeded(seed: seed)
        let names = ["password", "auth_token", "'secret'", #"\"chap_key\""#, "--password", "Cookie"]
        let signs = ["=", ": ", "=>", " = ", ":\t"]
        let values = [
            "SEK", "SEK SEK", "'SEK'", #"\"SEK\""#, "[SEK, SEK]", "{'a': 'SEK'}", "SEK'SEK", "SEK,SEK;SEK&SEK", "(SEK)", "u'SEK'",
        ]
        let ends = ["\nuser=me\n", ", user=me ", " & next=1 ", "}\n", "]\n", "; "]
        for _ in 0..<1000 {
            let text = (0..<Int.random(in: 1...4, using: &choice)).map { _ in
                names.randomElement(using: &choice)! + signs.randomElement(using: &choice)! + values.randomElement(
                    using: &choice)!
                    + ends.randomElement(using: &choice)!
            }.joined()
            #expect(!redacted(text).contains("SEK"), "\(text)")
        }
    }

    @Test(arguments: 1...3) func anyBytesAreTaken(seed: UInt64) {
        var choice = Seeded(seed: seed)
        let parts = [
            "password", "token", "key", "data", "secret", "<", ">", "=", ":", "'", "\"", "\\", "{", "}", "[", "]", "(", " ", "\n",
            "-", "--", "|",
            "%3D", "&quot;", "://", "@", "/", "value", "-v", "u", "\u{0}", "\u{e9}", "-----BEGIN PRIVATE KEY", "-----",
            "-----END", "***", "gAAAAA", "AQ==", "(", "[", "iscsi",
            "DHHC-1", ",",
        ]
        for _ in 0..<5000 {
            var text = (0..<Int.random(in: 0...12, using: &choice)).flatMap { _ in
                Array(parts.randomElement(using: &choice)!.utf8)
            }
            if Bool.random(using: &choice) { text.append(UInt8.random(in: 0...255, using: &choice)) }
            let masked = redacted(text)
            #expect(masked.count <= text.count + 3 * 12)
        }
    }

    /// Four times the text may take little more than four times the work; what is quadratic takes sixteen times. Work is the time that
    /// this thread was on a processor: how busy the machine is does not count.
    @Test(
        arguments: [
            "password ", "password= ", "'", "[", "{", "<password", "://", "a://b:", "-----BEGIN ", "-----BEGIN PRIVATE KEY", "-",
            "key=",
            "key:", "pass = ", "password=[", "password: |\n", "--password,", "password|", "password=(", "token=(a, b=1 ",
            "password=<", "AQA", "&quot;password", "<a <password",
            "data=", "password is ", "password=a ",
        ])
    func anyTextIsReadInTimeLinearInIt(_ part: String) {
        let (short, long) = (text(part, 10_000), text(part, 40_000))
        let growth = work { redacted(long) } / work { redacted(short) }
        #expect(growth < 10, "\(growth) times the work for four times the text")
    }

    private func text(_ part: String, _ count: Int) -> [UInt8] {
        Array(String(repeating: part, count: count / part.utf8.count).utf8)
    }

    /// The least of three measurements: what disturbs one only adds to it.
    private func work(_ body: () -> [UInt8]) -> Double {
        let measured = (0..<3).map { _ in
            let begin = processorTime()
            _ = body()
            return processorTime() - begin
        }
        return measured.min() ?? 0
    }

    private func processorTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    @Test func damagedJSONInAStringIsMaskedToo() {
        let value: JSONValue = ["oslo.message": #"{"auth_password": "hunter2""#]
        #expect(value.redacted()["oslo.message"] == #"{"auth_password": "***""#)
    }
}
