import ArgumentParser
import Testing

@testable import pivotd

@Suite struct ConfigurationOptionsTests {
    @Test func whatLeadsToTheWorkerIsRepeatedWithoutThePassword() throws {
        let given = [
            "--transport-url", "rabbit://u:hunter2@h/", "--host", "compute 1", "--topic", "moves", "--config", "it's.yaml",
            "--exchange", "a;b",
        ]
        let options = try ClientOptions.parse(given)
        #expect(options.repeated == #" --config 'it'\''s.yaml' --exchange 'a;b' --topic moves --host 'compute 1'"#)
        let none = try ClientOptions.parse([])
        #expect(none.repeated.isEmpty)
    }
}
