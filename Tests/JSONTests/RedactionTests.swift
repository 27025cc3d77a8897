import JSON
import Testing

@Suite struct RedactionTests {
    @Test func masksSecretsButNotTheirNames() {
        let data: JSONValue = [
            "auth_password": "a", "discovery_auth_password": "b", "password": "c", "secret": "d", "auth_token": "e",
            "keyring": "f",
            "auth_key": "g", "adminPass": "h", "secret_uuid": "1", "rbd_secret_uuid": "2", "secret_type": "ceph",
            "auth_username": "u", "target_iqn": "iqn", "encryption_key_id": "3", "auth_method": "CHAP", "empty_password": nil,
        ]
        let clean = data.redacted()
        for key in [
            "auth_password", "discovery_auth_password", "password", "secret", "auth_token", "keyring", "auth_key", "adminPass",
        ] {
            #expect(clean[key] == "***", "\(key)")
        }
        for key in [
            "secret_uuid", "rbd_secret_uuid", "secret_type", "auth_username", "target_iqn", "encryption_key_id", "auth_method",
            "empty_password",
        ] {
            #expect(clean[key] == data[key], "\(key)")
        }
    }

    @Test(arguments: [
        "chap_key", "rbd_key", "cephKey", "ceph.key", "dhchap-key", "luks_key", "key", "pass", "Authorization", "api_key",
    ])
    func masksKeysOfAllKinds(name: String) throws {
        #expect(try JSONValue(parsing: #"{"\#(name)": "s3cret"}"#).redacted()[name] == "***")
    }

    @Test(arguments: [
        "key_name", "routing_key", "secret_uuid", "secret-uuid", "encryption_key_id", "bypass", "keystone", "request_token",
    ])
    func leavesOtherNamesAlone(name: String) throws {
        #expect(try JSONValue(parsing: #"{"\#(name)": "plain"}"#).redacted()[name] == "plain")
    }

    @Test(arguments: [
        "mount failed: password=s3cret, retry", "rabbit://user:s3cret@host", "//u@h -o username=u,password=s3cret",
        "{'auth_password': 's3cret'}", #"failed: {"auth_password": "s3cret"}"#, "auth_password: s3cret", "--auth-password=s3cret",
        "chap_key=s3cret",
    ])
    func masksSecretsInProseOfAnEnvelope(text: String) throws {
        let inner: JSONValue = ["args": ["reason": .string(text)]]
        let clean = (["oslo.message": .string(inner.serialized())] as JSONValue).redacted()
        #expect(!clean.serialized().contains("s3cret"))
        #expect(
            try JSONValue(parsing: clean["oslo.message"]?.stringValue ?? "")["args"]?["reason"]?.stringValue?.contains("***")
                == true)
    }

    @Test(arguments: [
        "iqn.2010-10.org.openstack:volume-1", "/dev/disk/by-path/ip-192.0.2.1:3260-iscsi", "2026-11-23T10:00:00.000Z", "a=b",
        "Volume rebase failed: disk vdb: the copy failed: No space left on device",
    ])
    func leavesOtherProseAlone(text: String) {
        #expect(JSONValue.string(text).redactedIfSecret() == nil)
    }

    @Test func looksIntoTextsThatAreJSONThemselves() throws {
        let inner: JSONValue = ["args": ["new": .string((["data": ["auth_password": "hunter2"]] as JSONValue).serialized())]]
        let twice = JSONValue.string(JSONValue.string(inner.serialized()).serialized())
        let envelope: JSONValue = ["oslo.version": "2.0", "oslo.message": twice]
        let clean = envelope.redacted()
        #expect(!clean.serialized().contains("hunter2"))
        let message = try JSONValue(parsing: try JSONValue(parsing: clean["oslo.message"]?.stringValue ?? "").stringValue ?? "")
        let new = try JSONValue(parsing: message["args"]?["new"]?.stringValue ?? "")
        #expect(new == ["data": ["auth_password": "***"]])
    }

    @Test func textWithoutSecretsStaysAsItWasWritten() {
        let value: JSONValue = ["oslo.message": "{ \"b\" : 1.50 }", "other": "{not json", "log": "[instance: x] has failed"]
        #expect(value.redactedIfSecret() == nil)
    }

    @Test(arguments: [
        #"{"auth_password": "s3cret", "a": 1"#, #"{"args": ["password", "s3cret"], "a": 1"#, "{u'auth_password': u's3cret'}",
        #"[client.cinder]\n\tsecret_key"#, #"{"\u0070assword": "s3cret""#, #"{"password": 1e999}"#,
        #"{"auth_password":"s3cret","auth_password":null}"#, #"{"x":["password","s3cret"],"x":"ok"}"#,
        String(repeating: "[", count: 300) + #"{"password":"x"}"#,
    ])
    func whatBeginsAsJSONAndIsNoneIsMaskedWhole(_ text: String) {
        let value: JSONValue = ["oslo.message": .string(text)]
        #expect(value.redacted() == ["oslo.message": "***"])
        #expect(value.redacted().redactedIfSecret() == nil)
    }

    @Test func whatHoldsNoSecretIsNotMadeAnew() throws {
        let plain: JSONValue = ["a": ["b", ["c": "[1, 2]"]], "password": nil, "token": "***"]
        #expect(plain.redactedIfSecret() == nil)
        let secret: JSONValue = ["a": [1, ["PassWord": "x"]], "b": 2]
        #expect(secret.redactedIfSecret()?.serialized() == #"{"a":[1,{"PassWord":"***"}],"b":2}"#)
        #expect(secret.redacted().redactedIfSecret() == nil)
    }

    @Test(arguments: [
        (#"{"name": "auth_password", "value": "s3cret"}"#, #"{"name":"auth_password","value":"***"}"#),
        (#"{"key": "auth_password", "value": "s3cret"}"#, #"{"key":"***","value":"***"}"#),
        (#"{"key": "s3cret", "value": "x"}"#, #"{"key":"***","value":"x"}"#),
        (#"["--password", "s3cret", "x"]"#, #"["--password","***","***"]"#), (#"["password", "s3cret"]"#, #"["password","***"]"#),
        (#"["--name=node.session.auth.password", "--value=s3cret"]"#, #"["--name=node.session.auth.password","***"]"#),
        (#"["-n", "node.session.auth.password", "-v", "s3cret"]"#, #"["-n","node.session.auth.password","-v","***"]"#),
        (
            #"[{"op": "replace", "path": "/data/auth_password", "value": "s3cret"}]"#,
            #"[{"op":"replace","path":"/data/auth_password","value":"***"}]"#
        ), (#"{"path": "//data//auth_password//", "value": 5}"#, #"{"path":"//data//auth_password//","value":"***"}"#),
        (#"{"path": "//", "value": 5}"#, #"{"path":"//","value":5}"#),
        (#"{"Key": "auth_password", "Value": "s3cret"}"#, #"{"Key":"***","Value":"***"}"#),
        (#"{"password: s3cret": 1}"#, #"{"password: ***":"***"}"#),
        (#"{"password": {"a": ["s3cret"]}, "token": 5}"#, #"{"password":"***","token":"***"}"#),
        (#"{"psk": "s3cret", "pw": "s3cret", "tls_key": "s3cret"}"#, #"{"psk":"***","pw":"***","tls_key":"***"}"#),
    ])
    func masksOtherWaysToNameASecret(_ text: String, _ masked: String) throws {
        #expect(try JSONValue(parsing: text).redacted().serialized() == masked)
    }

    @Test(arguments: [
        #"["auth_username","auth_password","target_iqn"]"#, #"["password","token"]"#, #"{"password_set":false,"token":null}"#,
    ])
    func whatOnlySpeaksOfSecretsStays(_ text: String) throws {
        #expect(try JSONValue(parsing: text).redactedIfSecret() == nil)
    }
}
