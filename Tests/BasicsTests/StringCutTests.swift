import Basics
import Testing

@Suite struct StringCutTests {
    @Test(arguments: [("", ""), ("abcd efgh", "abcd efgh"), ("abcd efghi", "abcd efgh…"), ("üüüüüüüüüü", "üüüüüüüüü…")])
    func aLongTextIsCutAtTheLimit(text: String, cut: String) { #expect(text.cut(to: 9) == cut) }

    @Test(
        "At a word, unless that would cut too much",
        arguments: [
            ("abcd efgh", "abcd efgh"), ("abcd efghi", "abcd …"), ("abcdefgh jk", "abcdefgh …"), ("abcdefghi jk", "abcdefghi…"),
            ("ab cdefghijk", "ab cdefgh…"),
        ])
    func atAWord(text: String, cut: String) { #expect(text.cut(to: 9, atWord: true) == cut) }
}
