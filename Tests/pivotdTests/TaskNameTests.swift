import Testing

@testable import pivotd

@Suite struct TaskNameTests {
    private func choice(_ text: String, _ ids: [String]) throws -> String {
        try #require(TaskName(argument: text)).choice(among: ids)
    }

    @Test func aBeginningNamesOneTask() throws {
        #expect(try choice("ab", ["abc", "bcd"]) == "abc")
        #expect(try choice("abc", ["abcd", "abc"]) == "abc", "an id is not taken for the beginning of another")
        #expect(TaskName(argument: "") == nil)
    }

    @Test func anAmbiguousBeginningListsTheTasks() throws {
        let error = #expect(throws: CommandFailure.self) { try choice("a", ["a1", "a2"]) }
        #expect(error?.status == .failure)
        #expect(error?.message == "a is ambiguous, give more of the id:\n  a1\n  a2")
        let many = #expect(throws: CommandFailure.self) { try choice("a", (1...6).map { "a\($0)" }) }
        #expect(many?.message.hasSuffix("\n  a5\n  and others") == true)
    }

    @Test func anUnknownBeginningIsNamed() throws {
        let error = #expect(throws: CommandFailure.self) { try choice("x\u{1B}", ["a1"]) }
        #expect(error?.message == "no task's id begins with x\u{FFFD}")
    }
}
