import JSON
import Testing

@Suite struct SecretMaskTests {
    @Test(arguments: [
        (#"{"auth_password": "hunter2", "a": 1"#, #"{"auth_password": "***", "a": 1"#),
        (#"{\"auth_password\": \"hun\\\"ter2\", \"a\": 1"#, #"{\"auth_password\": \"***\", \"a\": 1"#),
        (#"{'auth_password': 'hunter2', 'a': 1}"#, #"{'auth_password': '***', 'a': 1}"#),
        ("password=hunter2, disk=vdb", "password=***, disk=vdb"),
        (#"{"auth_token": "hunter2"#, #"{"auth_token": "***"#),
        ("rabbit://u:hunter2@h:5672,v:hunter2@i/x failed", "rabbit://u:***@i/x failed"),
        ("{\"password\"\t:\n  \"hunter2\"", "{\"password\"\t:\n  \"***\""), ("auth-password: hunter2;", "auth-password: ***;"),
        ("api-key=hunter2&x=1", "api-key=***&x=1"), ("secret-uuid=abc", "secret-uuid=abc"), ("--token=hunter2", "--token=***"),
        ("password = hun)ter2", "password = ***"), ("auth_password: <hun<ter2", "auth_password: ***"),
        ("the password is wrong", "the password is wrong"),
        ("secret_uuid=abc for rbd://h/x", "secret_uuid=abc for rbd://h/x"),
        ("http://h:80/a@b", "http://h:80/a@b"),
    ])
    func masks(_ text: String, _ masked: String) {
        #expect(SecretMask.masked(text) == masked)
        #expect(SecretMask.masked([0xff, 0x20] + Array(text.utf8)) == [0xff, 0x20] + Array(masked.utf8))
    }

    @Test func damagedJSONInAStringIsMaskedToo() {
        let value: JSONValue = ["oslo.message": #"{"auth_password": "hunter2""#]
        #expect(value.redacted()["oslo.message"] == #"{"auth_password": "***""#)
    }
}
