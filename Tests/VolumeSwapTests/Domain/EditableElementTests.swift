import Testing

@testable import VolumeSwap

@Suite("Editable XML")
struct EditableElementTests {
    @Test(
        "What is not edited is written as it was read",
        arguments: [
            "<a>one<b/>two<!-- three --><?four five?><c/>\n\t</a>",
            "<a k=\"&quot;&amp;&lt;&#10;&#9;\">&amp;&lt;]]&gt;&#13;naïve 🖴</a>",
            "<a xmlns=\"urn:a\" xmlns:b=\"urn:b\"><b:c b:d=\"1\"/><c xmlns=\"\"/></a>",
        ])
    func unchanged(xml: String) throws {
        #expect(try EditableElement.parse(xml).xml == xml)
    }

    @Test("CDATA becomes text, and what surrounds the root is left out")
    func normalised() throws {
        let xml = "<?xml version='1.0'?><!-- before --><a z='2' b='1'>1<![CDATA[<&>]]>2</a><!-- after -->"
        #expect(try EditableElement.parse(xml).xml == "<a b=\"1\" z=\"2\">1&lt;&amp;&gt;2</a>")
    }

    @Test("Edits leave the rest in its place")
    func edits() throws {
        let root = try EditableElement.parse("<a x=\"1\">one<b/>two<c><d/></c>three</a>")
        let copy = root.copy()
        root.set("x", nil)
        root.set("y", "2")
        root.remove { $0.name == "b" }
        root.first("c")?.add(EditableElement("e", [("f", "3"), ("g", nil)]))
        #expect(root.xml == "<a y=\"2\">onetwo<c><d/><e f=\"3\"/></c>three</a>")
        root.text = "<>"
        #expect(root.xml == "<a y=\"2\">&lt;&gt;</a>")
        #expect(copy.xml == "<a x=\"1\">one<b/>two<c><d/></c>three</a>")
    }

    @Test(
        "What is not well-formed is refused", arguments: ["", " ", "<", "<a>", "<a></b>", "<a", "text", "<a b=1/>"])
    func broken(xml: String) {
        #expect(throws: SwapFailure.self) { try EditableElement.parse(xml) }
    }
}
